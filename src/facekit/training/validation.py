"""Measuring during training: what the engine asks of whoever evaluates, and which checkpoint was the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from facekit.interfaces import Evaluated, FacekitError, Measurement
from facekit.recipe.settings import TrainSettings
from facekit.training.networks import FaceModel


class Outcome(Protocol):
    """What an evaluation found under one protocol."""

    @property
    def protocol(self) -> str:
        """The protocol's id."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """What the id stands for."""
        ...

    @property
    def measurements(self) -> Sequence[Measurement]:
        """The numbers."""
        ...

    @property
    def ids(self) -> Mapping[str, str]:
        """The whole protocol id of each number, by its name."""
        ...

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """Confidence intervals by measurement name, where there are any."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What people should know: all results were equal, say."""
        ...


Evaluate = Callable[[FaceModel, int], Outcome]
"""Measures a model (in evaluation mode) on the validation split after a number of updates."""


def evaluated(found: Outcome, *, run: Path, step: int, split: str, weights: str) -> Evaluated:
    """Return the event that tells what an evaluation found."""
    return Evaluated(
        run=run,
        step=step,
        split=split,
        weights=weights,
        protocol=found.protocol,
        measurements=tuple(found.measurements),
        protocol_fields=found.fields,
        ids=found.ids,
        intervals=found.intervals,
    )


def check_settings(settings: TrainSettings, *, evaluates: bool) -> None:
    """Check that what is to be measured can be.

    Raises:
        FacekitError: settings that cannot go together; the message says what to change.
    """
    if settings.evaluate_every is not None and not evaluates:
        raise FacekitError(
            "train.evaluate_every is set, but there is nothing to measure with",
            where="train.evaluate_every",
            remedy="give the recipe metrics, or take train.evaluate_every out",
        )
    if settings.keep.best is not None and settings.evaluate_every is None:
        raise FacekitError(
            f"train.keep.best keeps the checkpoint with the best {settings.keep.best}, but nothing measures it during "
            "training",
            where="train.keep.best",
            remedy="set train.evaluate_every",
        )


class BestCheckpoint:
    """Remembers at which step a metric was best.

    Args:
        metric: name of the measurement, ``name`` or ``name/part``; None to remember nothing.
    """

    def __init__(self, metric: str | None) -> None:
        self.step: int | None = None
        self._metric = metric
        self._value = math.nan

    def see(self, step: int, measurements: Sequence[Measurement]) -> bool:
        """Take in the measurements of a step; return whether it is the best so far.

        Raises:
            FacekitError: the metric is not among them.
        """
        if self._metric is None:
            return False
        found = {entry.name: entry for entry in measurements}
        if self._metric not in found:
            raise FacekitError(
                f"no measurement is called {self._metric!r}",
                where="train.keep.best",
                remedy=f"there are {', '.join(found) or 'none'}",
            )
        entry = found[self._metric]
        better = entry.value > self._value if entry.better == "higher" else entry.value < self._value
        if math.isfinite(entry.value) and (self.step is None or better):
            self.step, self._value = step, entry.value
            return True
        return False

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON data."""
        return {"step": self.step, "value": None if self.step is None else self._value}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` returned."""
        self.step = state["step"]
        self._value = math.nan if state["value"] is None else state["value"]
