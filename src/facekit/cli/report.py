"""``facekit report``: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from facekit.cli.paths import FilePath


@click.command(short_help="Write a run's report.html again.")
@click.argument("run", type=FilePath())
def report(run: Path) -> None:
    """Write RUN's report.html again, also of a run that still goes on, was stopped or failed.

    The page is one file that needs nothing else: it can be mailed, and opens without a server.

    \b
    Example:
      facekit report runs/first
    """
    from facekit.report import write_report

    click.echo(str(write_report(run)))
