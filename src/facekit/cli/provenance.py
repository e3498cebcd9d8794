"""``facekit provenance``: what made an image."""

from __future__ import annotations

from pathlib import Path

import click

from facekit.cli.output import print_json
from facekit.cli.state import FilePath


@click.command(short_help="Say what made a picture.")
@click.argument("file", type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--script", "only_script", is_flag=True, help="Print the edit script alone, ready to be used again.")
@click.pass_context
def provenance(context: click.Context, file: Path, as_json: bool, only_script: bool) -> None:
    """Say what made a picture: that it is synthetic, the run, its weights, the script.

    Exits with 1 for a picture that facekit did not make, or that lost its record on the way.

    \b
    Example:
      facekit provenance result.png
      facekit provenance result.png --script > again.yaml
    """
    from facekit.inference import read_provenance
    from facekit.interfaces import FacekitError

    if not file.is_file():
        raise FacekitError("there is no such file", where=str(file))
    record = read_provenance(file)
    if record is None:
        click.echo(f"{file} has no record of facekit's: it was not made by it, or the record was lost on the way")
        context.exit(1)
    if only_script:
        if "script" not in record:
            raise FacekitError("no edit script made this picture", where=str(file))
        click.echo(record["script"], nl=False)
    elif as_json:
        print_json(record)
    else:
        for key, value in record.items():
            lines = str(value).splitlines() or [""]
            click.echo(f"{key}: {lines[0]}" if len(lines) == 1 else f"{key}:")
            for line in lines if len(lines) > 1 else ():
                click.echo(f"  {line}")
