"""The events of a run, for observers: the progress display and plugins.

Every event has ``run``, the run folder, and all but the first ``step``, the steps done.

All of it is read-only, to the innermost entry: an attempt to change an event raises in the observer. Mappings are
:class:`~facekit.interfaces.read_only.ReadOnlyDict`, lists are tuples; :func:`~facekit.interfaces.plain_data` copies
them into plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from facekit.interfaces.metric import Measurement
from facekit.interfaces.read_only import read_only


class _Shown:
    """Makes every field of an event read-only."""

    __slots__ = ()

    def __post_init__(self) -> None:
        event: Any = self
        for entry in fields(event):
            object.__setattr__(self, entry.name, read_only(getattr(self, entry.name)))


GRADIENT_SHARE = "gradient_share/"
"""Begins the names of the shares of losses among the diagnostics of a log line."""


@dataclass(frozen=True, slots=True)
class RunStarted(_Shown):
    """A run starts or goes on.

    Args:
        recipe: the resolved recipe, every default written out.
        first_step: steps done before; the next is ``first_step + 1``.
        steps: steps in all.
        parameters: number of parameters of each part of the model.
        resumed: the run goes on; true also for one that was stopped before its first checkpoint (``first_step`` 0).
        versions: of ``facekit``, ``python``, ``torch`` and each distribution whose plugins the recipe uses.
        device: the device's name for people.
        precision: ``fp32`` or ``bf16``.
        acceleration: whether networks are compiled or replayed as CUDA graphs, and why; empty where nothing is chosen.
        processes: how many train together; only the first of them sends events.
        data_fingerprint: SHA-256 of the packed training data.
        command: the command line, as it can be typed again; may be empty.
    """

    run: Path
    recipe: Mapping[str, Any]
    first_step: int
    steps: int
    parameters: Mapping[str, int]
    resumed: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    precision: str = ""
    acceleration: str = ""
    processes: int = 1
    data_fingerprint: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class StepLogged(_Shown):
    """Means since the last log line.

    Args:
        losses: weighted losses by ``player/label``.
        learning_rates: the rate of the step just done, by network, and by part of a network that has its own.
        seconds_per_step: time a step took, logging, samples, checkpoints and observers left out.
        diagnostics: ``changes_with_reference`` (0 to 2) now and then; ``gradient_norm/PLAYER`` where gradients are
            clipped; ``gradient_share/PLAYER/LOSS`` (0 to 1) now and then; what an augmentation has come to.
    """

    run: Path
    step: int
    losses: Mapping[str, float]
    learning_rates: Mapping[str, float]
    seconds_per_step: float
    diagnostics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SamplesSaved(_Shown):
    """A grid of fixed validation faces was written.

    Args:
        file: the PNG.
        weights: the weights that generated it: ``ema`` or ``live``.
    """

    run: Path
    step: int
    file: Path
    weights: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointSaved(_Shown):
    """A checkpoint was written into ``folder``; it stays for as long as ``train.keep`` keeps it."""

    run: Path
    step: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Evaluated(_Shown):
    """Metrics were measured: during training, after it, or much later by ``facekit evaluate``.

    Args:
        step: the step of the weights; baselines stand at the step of the model they were measured beside.
        split: the split of the faces.
        weights: ``ema`` or ``live``; ``baseline/NAME`` for a baseline that needs no training.
        protocol: id of what all the numbers have in common.
        measurements: the numbers, each with unit, direction and its metric's own part of the protocol.
        protocol_fields: what the id ``protocol`` stands for.
        ids: the whole protocol id of each number, by its name; only numbers with equal ids may be compared.
        intervals: 95 % bootstrap interval over the faces, by name; for the numbers that have one.
    """

    run: Path
    step: int
    split: str
    weights: str
    protocol: str
    measurements: tuple[Measurement, ...]
    protocol_fields: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warned(_Shown):
    """A warning for the user, sent once: the fake no longer changes with the reference, for instance.

    ``message`` has one or two sentences.
    """

    run: Path
    step: int
    message: str


@dataclass(frozen=True, slots=True)
class RunFinished(_Shown):
    """The run ended. The test split may be measured after it.

    Args:
        outcome: ``finished``, ``interrupted`` (Ctrl-C, SIGTERM) or ``failed``.
        message: how to go on, or why it failed; empty for a finished run.
        error: the class of the exception of a failed run, ``RunFailure`` or ``ValueError``; else empty.
    """

    run: Path
    step: int
    outcome: str
    message: str = ""
    error: str = ""


RunEvent = RunStarted | StepLogged | SamplesSaved | CheckpointSaved | Evaluated | Warned | RunFinished
