"""``facekit tensorboard``: show runs in TensorBoard."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(short_help="Show runs in TensorBoard, or export their curves as CSV.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), help="Where to listen; by default the first free from 6006 on.")
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write the curves into a CSV file (- for stdout), and start no server.",
)
def tensorboard(runs: tuple[Path, ...], port: int | None, export: Path | None) -> None:
    """Show RUNS in TensorBoard, side by side under their names.

    RUNS are run folders, or folders of them. The server listens to this machine only (127.0.0.1) until Ctrl-C, and
    follows runs that are still training. Runs write their logs while they train; FACEKIT_TENSORBOARD=off leaves them
    out, and FACEKIT_TENSORBOARD_DIR=FOLDER puts them into FOLDER, each under the name of its run.

    \b
    Example:
      facekit tensorboard runs/first runs/second
      facekit tensorboard runs
      facekit tensorboard runs/first --export curves.csv
    """
    from facekit.interfaces import FacekitError
    from facekit_tensorboard.logs import find_logs, write_csv
    from facekit_tensorboard.server import serve
    from facekit_tensorboard.settings import Settings

    logs = find_logs(runs, Settings.read())
    if export is None:
        names = ", ".join(log.name for log in logs)
        serve(logs, port=port, on_start=lambda address: click.echo(f"{names}: {address} (Ctrl-C ends it)", err=True))
    elif str(export) == "-":
        write_csv(logs, sys.stdout)
    else:
        try:
            with export.open("w", encoding="utf-8", newline="") as stream:
                count = write_csv(logs, stream)
        except OSError as error:
            raise FacekitError(f"the file cannot be written: {error.strerror}", where=str(export)) from error
        click.echo(f"{count:,} values of {', '.join(log.name for log in logs)} written to {export}")
