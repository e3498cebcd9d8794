"""Writes checkpoints in a thread, while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from facekit.interfaces import CheckpointSaved
from facekit.recipe.settings import TrainSettings, seconds_of
from facekit.training.checkpoint import checkpoints
from facekit.training.run.folder import RunFolder
from facekit.training.state import TrainingState


class CheckpointWriter:
    """Writes the checkpoints of a run, one at a time, and removes those that need not be kept.

    However its context ends, it waits for the one that is being written.

    Args:
        told: called with each that is written, in the thread of the run.
    """

    def __init__(self, run: RunFolder, settings: TrainSettings, *, told: Callable[[CheckpointSaved], None]) -> None:
        self._run, self._told = run, told
        self._every, self._last = settings.checkpoint_every, settings.keep.last
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writes checkpoints")
        self._writing: Future[CheckpointSaved] | None = None
        self._began = time.monotonic()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def is_due(self, step: int) -> bool:
        """Return whether it is time for a checkpoint after a step."""
        if isinstance(self._every, int):
            return step % self._every == 0
        return time.monotonic() - self._began >= seconds_of(self._every)

    def write(self, state: TrainingState, copies: Mapping[str, bytes]) -> None:
        """Let a checkpoint be written of what the run is now, once the one before is.

        Args:
            copies: the contents of files of the run.

        Raises:
            RunFailure: the one before could not be written.
        """
        self.finish()
        self._began = time.monotonic()
        step, best, write, folder = state.done, state.best.step, state.copy(copies), self._run.checkpoints

        def work() -> CheckpointSaved:
            saved = CheckpointSaved(self._run.path, step, write(folder))
            checkpoints.keep(folder, last=self._last, best=best)
            return saved

        self._writing = self._pool.submit(work)

    def look(self) -> None:
        """Tell of the checkpoint that was being written where it is. Raises RunFailure where it could not be."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def finish(self, *, failing: bool = False) -> None:
        """Wait for the checkpoint that is being written, and tell of it.

        Args:
            failing: the run ends of something else: that this failed too is not told.

        Raises:
            RunFailure: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None and not (failing and writing.exception()):
            self._told(writing.result())
