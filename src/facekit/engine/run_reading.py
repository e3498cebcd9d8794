"""Reading what a run left behind, however much of it there is: a report is most wanted of the runs that went wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facekit.engine.run_folder import CHECKPOINTS, LOCK, METRICS, RECIPE, SAMPLES
from facekit.figures.charts import Series
from facekit.interfaces import FacekitError

_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``finished``, ``interrupted``, ``failed``, or ``unfinished`` when it never said."""

    word: str
    step: int
    message: str = ""


@dataclass
class RunRecord:
    """A run folder as it lies on the disk.

    Args:
        folder: the run folder.
        recipe_text: the locked recipe; empty where it cannot be read.
        lock: the contents of ``lock.json``; empty where it cannot be read.
        events: the lines of ``metrics.jsonl`` that are whole, in the order they were written.
        samples: sample grids by step.
        checkpoints: the steps that have a checkpoint.
        problems: what could not be read, for the reader of the report.
    """

    folder: Path
    recipe_text: str = ""
    lock: Mapping[str, Any] = field(default_factory=dict)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, Path]] = field(default_factory=list)
    checkpoints: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The recipe's name, or the folder's where there is none."""
        return str(self.recipe.get("name") or self.folder.resolve().name)

    @property
    def last_step(self) -> int:
        """The last step anything is known of."""
        return max((step for event in self.events if (step := _step_of(event)) is not None), default=0)

    @property
    def steps(self) -> int | None:
        """The number of steps the run was to do, where the events or the recipe say so."""
        for event in reversed(self.events):
            if event.get("event") in ("started", "resumed") and isinstance(event.get("steps"), int):
                return int(event["steps"])
        train = self.recipe.get("train")
        steps = train.get("steps") if isinstance(train, Mapping) else None
        return steps if isinstance(steps, int) else None

    def of(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Yield the events of a kind."""
        return (event for event in self.events if event.get("event") == kind)

    def outcome(self) -> Outcome:
        """Return how the run ended; a run that was killed, or still goes on, is unfinished."""
        for event in reversed(self.events):
            kind = event.get("event")
            if kind in ("finished", "interrupted", "failed"):
                return Outcome(str(kind), _step_of(event) or self.last_step, str(event.get("message") or ""))
            if kind in ("started", "resumed", "train"):
                break
        return Outcome("unfinished", self.last_step)

    def training(self) -> list[Mapping[str, Any]]:
        """Return the training lines by step. Steps that were done again after a resume count once, the last time."""
        lines: dict[int, Mapping[str, Any]] = {}
        for event in self.events:
            step = _step_of(event)
            if event.get("event") == "resumed" and step is not None:
                lines = {known: line for known, line in lines.items() if known <= step}
            elif event.get("event") == "train" and step is not None:
                lines[step] = event
        return [lines[step] for step in sorted(lines)]

    def series(self, group: str) -> dict[str, Series]:
        """Return the curves of a group of the training lines (``losses``, ``learning_rates``, ``diagnostics``).

        Values that are no finite numbers are left out.
        """
        curves: dict[str, Series] = {}
        for line in self.training():
            values = line.get(group)
            if not isinstance(values, Mapping):
                continue
            for name, value in values.items():
                if _is_finite(value):
                    curves.setdefault(str(name), []).append((int(line["step"]), float(value)))
        return curves

    def wall_seconds(self) -> float:
        """Return how long the run was at work, pauses between an end and a resume left out; 0 where no line says."""
        total, start, last = 0.0, None, 0.0
        for event in self.events:
            time = event.get("time")
            kind = event.get("event")
            if not isinstance(time, (int, float)) or kind == "evaluation":
                continue
            if kind in ("started", "resumed"):
                total += last - start if start is not None else 0.0
                start = float(time)
            last = float(time)
        return total + (last - start if start is not None else 0.0)

    def speed(self) -> Series:
        """Return the seconds a step took, over the steps."""
        return [
            (int(line["step"]), float(line["seconds_per_step"]))
            for line in self.training()
            if _is_finite(line.get("seconds_per_step"))
        ]


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        FacekitError: there is no such folder, or it holds nothing a run leaves.
    """
    if not folder.is_dir():
        raise FacekitError("there is no such run folder", where=str(folder), remedy="give the folder of a run")
    if not any((folder / name).exists() for name in (RECIPE, LOCK, METRICS)):
        raise FacekitError(
            f"this folder is not a run: it has no {RECIPE}, {LOCK} or {METRICS}",
            where=str(folder),
            remedy="give the folder that `facekit run` printed",
        )
    record = RunRecord(folder)
    record.recipe_text = _read_text(folder / RECIPE, record.problems)
    record.recipe = _parse_recipe(record.recipe_text, record.problems)
    record.lock = _parse_lock(_read_text(folder / LOCK, record.problems), record.problems)
    record.events = _parse_events(_read_text(folder / METRICS, record.problems), record.problems)
    record.samples = _numbered(folder / SAMPLES, "*.png")
    record.checkpoints = [step for step, path in _numbered(folder / CHECKPOINTS, "step-*") if path.is_dir()]
    return record


def _read_text(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror or error}")
        return ""


def _parse_recipe(text: str, problems: list[str]) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text) if text else {}
    except yaml.YAMLError as error:
        problems.append(f"{RECIPE} is not whole: {error}")
        return {}
    return document if isinstance(document, Mapping) else {}


def _parse_lock(text: str, problems: list[str]) -> Mapping[str, Any]:
    try:
        lock = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        problems.append(f"{LOCK} is not whole: {error}")
        return {}
    return lock if isinstance(lock, Mapping) else {}


def _parse_events(text: str, problems: list[str]) -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = []
    broken = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            broken += 1
            continue
        if isinstance(event, Mapping):
            events.append(event)
    if broken:
        lines = "1 line is" if broken == 1 else f"{broken} lines are"
        problems.append(f"{lines} not whole in {METRICS} (the run was stopped while writing) and left out here")
    return events


def _numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    found = [(int(match[1]), path) for path in folder.glob(pattern) if (match := _STEP.search(path.name))]
    return sorted(found)


def _step_of(event: Mapping[str, Any]) -> int | None:
    step = event.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
