"""Decides which runs get a log, and where. What writes logs, and TensorBoard with it, is imported when one is due."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.interfaces import Evaluated, FacekitError, RunEvent, RunFinished, RunStarted
from facekit_tensorboard.settings import FOLDER, MARK, SWITCH, Settings

if TYPE_CHECKING:
    from facekit_tensorboard.run_log import RunLog

OWNER = "run-folder.txt"
"""File of a log outside its run that names the run."""


class Watcher:
    """Keeps a log of every run that goes on in this process."""

    def __init__(self) -> None:
        self._open: dict[Path, RunLog] = {}

    def see(self, event: RunEvent) -> None:
        """Take in an event.

        Raises:
            FacekitError: an environment variable is wrong, or the log belongs to another run.
            OSError: the log cannot be written. It is closed; what stands in it is whole.
        """
        if isinstance(event, RunStarted):
            self._close(event.run)
            settings = Settings.read()
            if settings.on:
                from facekit_tensorboard.run_log import RunLog

                self._open[event.run] = RunLog(_place(settings, event.run, new=not event.resumed), event)
        elif isinstance(event, Evaluated):
            # Measurements come during a run, after it, and in processes that train nothing.
            settings = Settings.read()
            if settings.on:
                from facekit_tensorboard.run_log import write_evaluation

                write_evaluation(_place(settings, event.run), event)
        else:
            try:
                if event.run in self._open:
                    self._open[event.run].see(event)
            except BaseException:
                self._close(event.run)
                raise
            if isinstance(event, RunFinished):
                self._close(event.run)

    def _close(self, run: Path) -> None:
        log = self._open.pop(run, None)
        if log is not None:
            log.close()


WATCHER = Watcher()
"""The watcher of this process."""


def _place(settings: Settings, run: Path, *, new: bool = False) -> Path:
    """Return the folder of a run's log, and claim it where several runs share a place.

    Args:
        settings: where logs lie.
        run: the run folder.
        new: the run starts from nothing, and so must its log.

    Raises:
        FacekitError: it is the log of another run of that name, or of an earlier one.
    """
    log = settings.log_of(run)
    owner, own = log / OWNER, str(run.resolve())
    other = owner.read_text(encoding="utf-8").strip() if owner.is_file() else own
    if other != own and Path(other).exists():
        raise FacekitError(
            f"this is the TensorBoard log of another run of that name: {other}",
            where=str(log),
            remedy=f"give the run another name, set another {FOLDER}, or {SWITCH}=off",
        )
    if new and any(log.rglob(f"*{MARK}*")):
        raise FacekitError(
            "there is the TensorBoard log of an earlier run",
            where=str(log),
            remedy=f"remove that folder, give the run another name, or set another {FOLDER}",
        )
    if settings.folder is not None:
        log.mkdir(parents=True, exist_ok=True)
        owner.write_text(f"{own}\n", encoding="utf-8")
    return log
