"""Reading what a run left behind, however much of it there is: a report is most wanted of the runs that went wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facekit.figures.charts import Series
from facekit.interfaces import FacekitError
from facekit.recipe import read_recipe
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import PluginRecord, Registry
from facekit.training.run.commands import lock_of
from facekit.training.run.folder import CHECKPOINTS, LOCK, LOCK_HASH, METRICS, RECIPE, SAMPLES, RunFolder, seal_is_sound
from facekit.training.run.metric_lines import LARGEST, damaged_lines, decode_lines, read_json, readable, step_of

_STEP = re.compile(r"step-([0-9]{1,18})")


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
        recipe_text: the locked recipe; empty where it cannot be read.
        lock: the contents of ``lock.json``; empty where it cannot be read.
        events: the lines of ``metrics.jsonl`` that are whole, in the order they were written.
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
        name = self.recipe.get("name")
        return readable(name if isinstance(name, str) and name else self.folder.resolve().name)

    @property
    def last_step(self) -> int:
        """The last step anything is known of."""
        return max((step for event in self.events if (step := step_of(event)) is not None), default=0)

    @property
    def steps(self) -> int | None:
        """The number of steps the run was to do, where the events or the recipe say so."""
        for event in reversed(self.events):
            if event.get("event") in ("started", "resumed") and isinstance(event.get("steps"), int):
                return int(event["steps"])
        return self._train("steps")

    @property
    def batch(self) -> int | None:
        """The images of an update, where the recipe says so."""
        batch, accumulate = self._train("batch"), self._train("accumulate")
        return batch if batch is None or accumulate is None else batch * accumulate

    @property
    def parameters(self) -> dict[str, int]:
        """The number of parameters of each network, where the lock says so."""
        counts = self.lock.get("parameters")
        named = counts.items() if isinstance(counts, Mapping) else ()
        return {str(name): count for name, count in named if isinstance(count, int)}

    def _train(self, setting: str) -> int | None:
        """Return a setting of ``train`` that is a positive number, None for anything else."""
        train = self.recipe.get("train")
        value = train.get(setting) if isinstance(train, Mapping) else None
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < LARGEST else None

    def of(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Yield the events of a kind."""
        return (event for event in self.events if event.get("event") == kind)

    def outcome(self) -> Outcome:
        """Return how the run ended; a run that was killed, or still goes on, is unfinished."""
        for event in reversed(self.events):
            kind = event.get("event")
            if kind in ("finished", "interrupted", "failed"):
                return Outcome(str(kind), step_of(event) or self.last_step, str(event.get("message") or ""))
            if kind in ("started", "resumed", "train"):
                break
        return Outcome("unfinished", self.last_step)

    def training(self) -> list[Mapping[str, Any]]:
        """Return the training lines by step. Steps that were done again after a resume count once, the last time."""
        lines: dict[int, Mapping[str, Any]] = {}
        for event in self.events:
            step = step_of(event)
            if event.get("event") == "resumed" and step is not None:
                lines = {known: line for known, line in lines.items() if known <= step}
            elif event.get("event") == "train" and step is not None:
                lines[step] = event
        return [lines[step] for step in sorted(lines)]

    def series(self, group: str) -> dict[str, Series]:
        """Return the finite values of ``losses``, ``learning_rates`` or ``diagnostics`` over the steps."""
        curves: dict[str, Series] = {}
        for line in self.training():
            values = line.get(group)
            for name, value in values.items() if isinstance(values, Mapping) else ():
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
    import yaml

    if not folder.is_dir():
        raise FacekitError("there is no such run folder", where=str(folder), remedy="give the folder of a run")
    if not any((folder / name).exists() for name in (RECIPE, LOCK, METRICS)):
        raise FacekitError(
            f"this folder is not a run: it has no {RECIPE}, {LOCK} or {METRICS}",
            where=str(folder),
            remedy="give the folder that `facekit run` printed",
        )
    record = RunRecord(folder)
    problems = record.problems

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror or error}")
            return b""

    record.recipe_text = read(RECIPE).decode("utf-8", errors="replace")
    try:
        recipe = yaml.safe_load(record.recipe_text) if record.recipe_text else {}
        record.recipe = recipe if isinstance(recipe, Mapping) else {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # PyYAML lets out a ValueError for dates and numbers that it cannot make.
        problems.append(f"{RECIPE} is not whole: {error}")

    text = read(LOCK).decode("utf-8", errors="replace")
    try:
        lock = read_json(text) if text else {}
    except ValueError as error:
        problems.append(f"{LOCK} is not whole: {error}")
        lock = {}
    if isinstance(lock, dict) and lock:
        record.lock = {name: value for name, value in lock.items() if name != LOCK_HASH}
        try:
            sound = seal_is_sound(json.loads(text))
        except ValueError:
            sound = False  # an integer of thousands of digits
        if not sound:
            problems.append(f"{LOCK} is not what the run wrote: its entries and its checksum differ")

    found = decode_lines(read(METRICS))
    record.events = list(found.events)
    if found.damaged:
        problems.append(f"{damaged_lines(found)}: what is damaged is left out here")
    if found.cut:
        problems.append(f"the last line of {METRICS} is not whole and left out: the run was stopped while writing it")
    record.samples = _numbered(folder / SAMPLES, "*.png")
    record.checkpoints = [step for step, path in _numbered(folder / CHECKPOINTS, "step-*") if path.is_dir()]
    return record


def _numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    try:
        matches = [(_STEP.fullmatch(path.stem), path) for path in folder.glob(pattern)]
    except OSError:
        return []  # a folder that cannot be read is as good as none; the files beside it are still worth a report
    return sorted((int(match[1]), path) for match, path in matches if match)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_run_recipe(recipe: Path, *, registry: Registry, overrides: Sequence[str] = ()) -> ResolvedRecipe:
    """Read a recipe file that may be the locked one of a run: whatever reads the recipe of a run comes through here.

    Of a component that is missing it is said which distribution, in which version, or which plugin file the run had it
    from, and how to get that. All else is as :func:`facekit.recipe.read_recipe` does.
    """
    # A lock.json that is not there or cannot be read leaves no more than less to say of what is missing.
    lock = lock_of(RunFolder(recipe.parent)) if recipe.name == RECIPE else {}
    record = PluginRecord.read(lock) if lock else None
    return read_recipe(recipe, registry=registry, overrides=overrides, record=record)
