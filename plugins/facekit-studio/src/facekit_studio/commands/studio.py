"""``facekit studio``: paint masks in the browser."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import click

from facekit.cli.output import note
from facekit.cli.state import FilePath, State, plugin_file_option

_RUNS = Path("runs")
_LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command(short_help="Edit faces by painting, in the browser.")
@click.argument("runs", metavar="[RUN...]", nargs=-1, type=FilePath())
@click.option("--local", type=FilePath(), help="A run that fills holes (recipe local_edit), for edits of a part.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 for any. By default 8765, or any if taken.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option("--faces", default="synthetic_faces", show_default=True, help="Draws faces where a run's data is gone.")
@click.option("--segmenter", default="segmenter", show_default=True, help="The component that reads masks of photos.")
@click.option("--detector", default="mtcnn", show_default=True, help="The component that finds faces.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@plugin_file_option
@click.pass_context
def studio(
    context: click.Context,
    runs: tuple[Path, ...],
    local: Path | None,
    host: str,
    port: int | None,
    open_browser: bool,
    faces: str,
    segmenter: str,
    detector: str,
    weights: Literal["ema", "live"],
    device: str,
) -> None:
    """Serve a page on this computer that edits faces by painting their masks, with one RUN or several side by side.

    Without a RUN, the newest under runs/ is taken. The page needs the address that is printed, which holds a token; it
    asks nothing of the internet, and nothing is written to the disk. Ctrl-C ends it.

    A run of the recipe `local_edit`, given as --local, fills in the edits of a part at the photo's resolution. Alone,
    as RUN, it does all of them, without other looks.

    \b
    Example:
      facekit studio runs/first
      facekit studio runs/first runs/second --port 9000
      facekit studio runs/first --local runs/local_edit-1
    """
    chosen = runs or (_newest_run(_RUNS, but=local),)
    _check_runs(chosen if local is None else (*chosen, local))

    from facekit_studio.web.server import address_of, build_studio, new_token, open_socket, serve

    state: State = context.obj
    with open_socket(host, port) as listening:
        session = build_studio(
            chosen,
            registry=state.registry(),
            weights=weights,
            device=device,
            local=local,
            segmenter=segmenter,
            detector=detector,
            drawn=faces,
            report=note,
        )
        token = new_token()
        address = address_of(host, listening, token)
        if host not in _LOCAL:
            note(
                f"warning: everybody who reaches {host} over the network reaches the studio, and nothing is encrypted; "
                "only the token keeps them out. A tunnel is safer: ssh -L 8765:127.0.0.1:8765"
            )
        click.echo(address)
        note("open this address in a browser; Ctrl-C ends the studio")
        if open_browser:
            click.launch(address)
        serve(session, token=token, host=host, listening=listening)
    note("the studio is closed")
    if session.busy:
        _leave_at_once()


def _leave_at_once() -> None:
    """End the process though a thread of it still paints: Python would wait for it, for nobody."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a reader that went away
            stream.flush()
    os._exit(0)  # nothing of the studio is on the disk


def _check_runs(runs: tuple[Path, ...]) -> None:
    from facekit.interfaces import FacekitError
    from facekit.training.run.folder import RunFolder

    for run in runs:
        if not RunFolder(run).holds_a_run:
            raise FacekitError("this is not a run folder: it has no recipe.yaml", where=str(run))


def _newest_run(folder: Path, *, but: Path | None = None) -> Path:
    """Return the run in a folder that has the newest checkpoint, but for one.

    Raises:
        FacekitError: there is none; it says how to get one.
    """
    from facekit.interfaces import FacekitError
    from facekit.training.run.folder import RunFolder

    places = sorted(folder.iterdir()) if folder.is_dir() else []
    trained = {
        place: max((entry.stat().st_mtime for entry in RunFolder(place).checkpoints.iterdir()), default=0.0)
        for place in places
        if (but is None or place.resolve() != but.resolve())
        and RunFolder(place).holds_a_run
        and RunFolder(place).checkpoints.is_dir()
    }
    found = [place for place, when in trained.items() if when]
    if not found:
        raise FacekitError(
            "there is no trained run here to paint with",
            where=str(folder),
            remedy="train one on drawn faces, which needs no download: `facekit run sft_pix2pixhd --out runs/first`; "
            "or name the folder of a run",
        )
    return max(found, key=lambda place: trained[place])
