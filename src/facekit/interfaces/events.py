"""What happens in a run, for whoever watches it: the progress display and plugins. All of it is read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facekit.interfaces.metric import Measurement


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run starts or goes on: its folder, its resolved recipe, the first step to do and the number of steps in all."""

    run: Path
    recipe: Mapping[str, object]
    first_step: int
    steps: int
    parameters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StepLogged:
    """Means since the last log line: weighted losses by ``player/label``, learning rates, seconds a step,
    diagnostics.
    """

    run: Path
    step: int
    losses: Mapping[str, float]
    learning_rates: Mapping[str, float]
    seconds_per_step: float
    diagnostics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SamplesSaved:
    """A grid of fixed validation faces was written."""

    run: Path
    step: int
    file: Path


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint was written."""

    run: Path
    step: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Metrics were measured; ``weights`` says with which weights (``ema`` or ``live``), ``protocol`` identifies the
    conditions.
    """

    run: Path
    step: int
    split: str
    weights: str
    protocol: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, said once (the result no longer changes with the reference, say)."""

    run: Path
    step: int
    message: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended: ``finished``, ``interrupted`` (Ctrl-C) or ``failed``, with the message."""

    run: Path
    step: int
    outcome: str
    message: str = ""


RunEvent = RunStarted | StepLogged | SamplesSaved | CheckpointSaved | Evaluated | Warned | RunFinished
