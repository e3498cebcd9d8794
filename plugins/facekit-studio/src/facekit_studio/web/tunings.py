"""Tunings of a run to the faces of a session, each in a thread beside the one that paints. They live in memory only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facekit.inference import FacePipeline
from facekit.interfaces import FacekitError
from facekit_studio.editing import FaceTuner, TunedFace, TuningOptions
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web.faces import Face
from facekit_studio.web.responses import Busy, RequestError
from facekit_studio.web.workers import Worker

MOST_TUNED = 8
"""Faces that a run stays tuned to; each holds a generator. The one that was tuned first is forgotten."""

Square = tuple[NDArray[np.uint8], Ids]
"""A face as a run reads it: the square (S, S, 3), and class ids."""


class _Cancelled(Exception):
    """Ends a tuning that nobody wants any more."""


@dataclass
class Tuning:
    """A tuning, from when it is asked for."""

    steps: int
    done: int = 0
    tuned: TunedFace | None = None
    error: FacekitError | None = None
    cancelled: bool = False

    @property
    def state(self) -> Literal["tuning", "tuned", "failed"]:
        """How far it is."""
        if self.error is not None:
            return "failed"
        return "tuning" if self.tuned is None else "tuned"

    def described(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        error = None if self.error is None else {"message": self.error.message, "remedy": self.error.remedy}
        note = "" if self.tuned is None else self.tuned.note
        return {"state": self.state, "done": self.done, "steps": self.steps, "note": note, "error": error}


NOTHING = {"state": "none", "done": 0, "steps": 0, "note": "", "error": None}
"""What the page is told where a run is not tuned to a face."""


class AlreadyTuned:
    """Gives an editor what was tuned, in place of tuning: see :class:`facekit_studio.editing.tuning.TunesFaces`."""

    def __init__(self, tuned: TunedFace, tuner: FaceTuner) -> None:
        self.seed = tuner.seed
        self.made_of = tuner.made_of
        self._tuned = tuned

    def tune(self, image: NDArray[np.uint8], mask: Ids) -> TunedFace:
        """Return what was tuned."""
        return self._tuned


class Tunings:
    """The tunings of one run. :meth:`work` runs in the thread of :attr:`worker`; all else from the event loop, or for
    what is tuned, from any thread.
    """

    def __init__(
        self,
        identity: str,
        pipeline: FacePipeline,
        square: Callable[[Face], Square],
        options: TuningOptions | None = None,
    ) -> None:
        self.worker = Worker(f"studio-tuning-{identity}")
        self.options = TuningOptions() if options is None else options
        self._pipeline = pipeline
        self._square = square
        self._tunings: OrderedDict[tuple[str, int], Tuning] = OrderedDict()

    def tuner(self, tuning: Tuning | None = None) -> FaceTuner:
        """Return what tunes; it tells a tuning how far it is."""

        def progress(done: int, steps: int) -> None:
            assert tuning is not None
            tuning.done = done
            if tuning.cancelled:
                raise _Cancelled

        # The studio writes nothing to the disk, and the cache would keep what the person looks like.
        return FaceTuner(self._pipeline, self.options, progress=None if tuning is None else progress, keep=False)

    def begin(self, face: Face) -> Tuning | None:
        """Return a new tuning to a face, for :meth:`work`; None where there is one already."""
        key = (face.identity, face.version)
        there = self._tunings.get(key)
        if there is not None and there.error is None:
            return None
        tuning = Tuning(self.options.steps)
        self._tunings[key] = tuning
        self._tunings.move_to_end(key)
        if len(self._tunings) > MOST_TUNED:
            _, oldest = self._tunings.popitem(last=False)
            oldest.cancelled = True
        return tuning

    async def carry_out(self, tuning: Tuning, face: Face) -> None:
        """Do :meth:`work` in the thread for it."""
        try:
            await self.worker.do(self.work, tuning, face)
        except Busy as error:
            tuning.error = error

    def work(self, tuning: Tuning, face: Face) -> None:
        """Tune the run to a face; what goes wrong is kept in the tuning."""
        if tuning.cancelled:
            return
        try:
            image, mask = self._square(face)
            tuning.tuned = self.tuner(tuning).tune(image, mask)
        except _Cancelled:
            return
        except FacekitError as error:
            tuning.error = error

    def described(self, face: Face) -> dict[str, Any]:
        """Return what the page is told of the tuning to a face."""
        tuning = self._tunings.get((face.identity, face.version))
        return NOTHING if tuning is None else tuning.described()

    def forget(self, face: Face) -> None:
        """End the tuning to a face, or take it back."""
        tuning = self._tunings.pop((face.identity, face.version), None)
        if tuning is not None:
            tuning.cancelled = True

    def tuned(self, face: Face) -> TunedFace:
        """Return the run as it is tuned to a face. Raises RequestError where it is not."""
        tuning = self._tunings.get((face.identity, face.version))
        if tuning is None or tuning.tuned is None:
            raise RequestError(
                "the run is not tuned to this face",
                status=409,
                where=face.identity,
                remedy="tune it first, or ask for the picture without",
            )
        return tuning.tuned

    def cancel(self) -> None:
        """End all tunings; the one that is being done ends at its next step."""
        for tuning in self._tunings.values():
            tuning.cancelled = True
