"""TensorBoard's own server, showing logs under the names of their runs."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from facekit.interfaces import FacekitError
from facekit_tensorboard.logs import Log

HOST = "127.0.0.1"
"""Logs are shown to this machine only."""

PICTURES = 200
"""Sample grids that TensorBoard keeps of each run."""


def serve(logs: Sequence[Log], *, port: int | None, on_start: Callable[[str], None]) -> None:
    """Show logs until Ctrl-C or SIGTERM.

    Args:
        logs: what to show.
        port: where to listen; None for the first free port from 6006 on.
        on_start: told the address.

    Raises:
        FacekitError: the port is taken.
    """
    from tensorboard import program

    with _side_by_side(logs) as folder, suppress(KeyboardInterrupt), _sigterm_is_ctrl_c():
        board = program.TensorBoard()
        arguments = ["facekit tensorboard", "--logdir", str(folder), "--host", HOST]
        # Only the loader in Python drops the steps that a resumed run has not done again yet.
        arguments += ["--samples_per_plugin", f"images={PICTURES}", "--load_fast", "false"]
        arguments += [] if port is None else ["--port", str(port)]
        board.configure(argv=arguments)
        for name in ("werkzeug", "tensorboard"):  # they would tell of every request, and of every resume
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            address = board.launch()
        except program.TensorBoardServerException as error:
            raise FacekitError(
                f"TensorBoard's server does not start: {error}", remedy="give another --port, or none for a free one"
            ) from error
        on_start(address)
        threading.Event().wait()


@contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the server as Ctrl-C does, so that what it made is removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _side_by_side(logs: Sequence[Log]) -> Iterator[Path]:
    """Give a folder in which each log stands under its name; TensorBoard names what it shows by folders."""
    with TemporaryDirectory(prefix="facekit-tensorboard-") as name:
        folder = Path(name)
        for log in logs:
            place = folder / log.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(log.folder.resolve(), target_is_directory=True)
        yield folder
