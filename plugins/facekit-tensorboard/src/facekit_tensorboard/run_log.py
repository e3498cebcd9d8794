"""The log of a run: what each event becomes in it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from facekit.interfaces import (
    Evaluated,
    RunEvent,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
    plain_data,
)
from facekit_tensorboard.event_file import EventFile, write_whole
from facekit_tensorboard.settings import MARK
from facekit_tensorboard.values import code, end_of_trial, hyperparameters, picture, scalar, scalars, table, text

_EVALUATION = re.compile(rf"events\.out\.{MARK}\.(\d{{8}})\.[0-9a-f]+")


class RunLog:
    """The log of a run that trains.

    A run that goes on writes a file of its own, which tells TensorBoard to drop what earlier files say of the steps
    that are done again.

    Args:
        folder: the log.
        start: the start of the run.

    Raises:
        OSError: the log cannot be written.
    """

    def __init__(self, folder: Path, start: RunStarted) -> None:
        is_there = any(folder.glob(f"*{MARK}*"))
        if start.resumed:
            _drop_evaluations(folder, after=start.first_step)
        self._file = EventFile(folder, begins_at=start.first_step + 1 if is_there else start.first_step)
        if not is_there:
            trial = hyperparameters(_hyperparameters(start), trial=str(start.run.resolve()), began=time.time())
            said = [text("recipe", code(_yaml(start.recipe))), text("run", _facts(start))]
            self._file.write(start.first_step, [*said, *trial])

    def see(self, event: RunEvent) -> None:
        """Write down an event of the run."""
        if isinstance(event, StepLogged):
            values = [
                *scalars("loss", event.losses),
                *scalars("learning_rate", event.learning_rates),
                *scalars("diagnostics", event.diagnostics),
                scalar("speed/seconds_per_step", event.seconds_per_step),
            ]
            self._file.write(event.step, values)
        elif isinstance(event, SamplesSaved):
            self._file.write(event.step, [picture("samples", event.file)])
        elif isinstance(event, Warned):
            self._file.write(event.step, [text("warnings", event.message)])
        elif isinstance(event, RunFinished):
            values = [end_of_trial(succeeded=event.outcome == "finished", ended=time.time())]
            if event.message:
                values.append(text("outcome", f"{event.outcome}: {event.message}"))
            self._file.write(event.step, values)

    def close(self) -> None:
        """Bring the log to disk."""
        self._file.close()


def evaluation_folder(log: Path, *, split: str, weights: str) -> Path:
    """Return where measurements lie in a log: ``test-ema``, ``test-baseline-copy_reference``."""
    return log / re.sub(r"[^\w-]+", "-", f"{split}-{weights}")


def write_evaluation(log: Path, event: Evaluated) -> None:
    """Write measurements into a file of their own; the same ones measured again replace them."""
    values, rows = [], []
    for entry in event.measurements:
        identity = event.ids.get(entry.name, event.protocol)
        low_high = event.intervals.get(entry.name)
        known = math.isfinite(entry.value)
        interval = f"{low_high[0]:.4g} to {low_high[1]:.4g}" if low_high else ""
        value = f"{entry.value:.6g}" if known else "none"
        rows.append((entry.name, value, interval, entry.unit, entry.better, entry.count, identity))
        if known:
            # Numbers with different protocols may not be compared, so they get no common curve.
            unit = f" ({entry.unit})" if entry.unit else ""
            values.append(scalar(f"evaluation/{entry.name}{unit} [{identity}]", entry.value))
    heading = ("measurement", "value", "95 % interval", "unit", "better", "count", "protocol")
    conditions = table(("condition", "value"), [*sorted(event.protocol_fields.items())])
    said = f"{table(heading, rows)}\n\nWeights: {event.weights}. Protocol {event.protocol}:\n\n{conditions}"
    folder = evaluation_folder(log, split=event.split, weights=event.weights)
    file = folder / f"events.out.{MARK}.{event.step:08d}.{event.protocol}"
    write_whole(file, event.step, [*values, text("measurements", said)])


def _drop_evaluations(log: Path, *, after: int) -> None:
    """Remove measurements of steps that a run does again."""
    for file in log.glob(f"*/*{MARK}*"):
        match = _EVALUATION.fullmatch(file.name)
        if match is not None and int(match[1]) > after:
            file.unlink()


def _yaml(recipe: Mapping[str, Any]) -> str:
    return yaml.safe_dump(plain_data(recipe), sort_keys=False, allow_unicode=True)


def _facts(start: RunStarted) -> str:
    facts: dict[str, object] = {
        "run": start.run.resolve(),
        "command": start.command,
        "device": start.device,
        "precision": start.precision,
        "processes": start.processes,
        "steps": start.steps,
        "data": start.data_fingerprint,
        **{f"parameters of the {name}": f"{count:,}" for name, count in start.parameters.items()},
        **{f"version of {name}": version for name, version in start.versions.items()},
    }
    return table(("", ""), list(facts.items()))


def _hyperparameters(start: RunStarted) -> dict[str, str | float | bool]:
    """Return the few settings that runs mostly differ in; all of them are in the recipe's text."""
    recipe = start.recipe
    data, train, model = recipe.get("data", {}), recipe.get("train", {}), recipe.get("model", {})
    found: dict[str, object] = {
        "data": data.get("use"),
        "size": data.get("size"),
        **{slot: part.get("use") for slot, part in model.items() if isinstance(part, Mapping)},
        "batch": train.get("batch"),
        "learning rate": train.get("optimiser", {}).get("lr"),
        "seed": train.get("seed"),
        "precision": start.precision,
        "steps": start.steps,
        "parameters": sum(start.parameters.values()),
    }
    return {name: value for name, value in found.items() if isinstance(value, str | float | int) and value != ""}
