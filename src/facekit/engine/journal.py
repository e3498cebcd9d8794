"""What happened in a run: ``metrics.jsonl``, and the events for whoever watches."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facekit.engine.run_folder import RunFolder, full_disk_stops, write_file
from facekit.interfaces import (
    CheckpointSaved,
    Evaluated,
    RunEvent,
    RunFailure,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)
from facekit.registry import Registry

Observer = Callable[[RunEvent], None]

EVENT, STEP, TIME = "event", "step", "time"
STARTED, RESUMED, TRAIN, EVALUATION, SAMPLE, CHECKPOINT, WARNING, FAILED = (
    "started",
    "resumed",
    "train",
    "evaluation",
    "sample",
    "checkpoint",
    "warning",
    "failed",
)
"""Names of the lines; a run's last line is named by its outcome, ``finished``, ``interrupted`` or ``failed``."""

_REPEATED = (TRAIN, EVALUATION, SAMPLE, CHECKPOINT, WARNING)
"""Lines that a resumed run writes again when it passes their step."""


class Journal:
    """Appends to ``metrics.jsonl`` and tells the observer and the plugins.

    Each line is one write of its own, so that a reader or a kill sees whole lines, but perhaps for the last.

    Args:
        run: the run folder.
        registry: the plugins that watch.
        observer: who else watches; None for nobody.
        silent: write and tell nothing (every process of a distributed run but the first).
    """

    def __init__(
        self, run: RunFolder, *, registry: Registry, observer: Observer | None = None, silent: bool = False
    ) -> None:
        self.warnings: list[str] = []
        self._run = run
        self._registry = registry
        self._observer = observer
        self._silent = silent
        self._failed_plugins: set[str] = set()

    def started(self, event: RunStarted, *, resumed: bool) -> None:
        """Say that the run starts or goes on."""
        line = {EVENT: RESUMED if resumed else STARTED, STEP: event.first_step, "steps": event.steps}
        self._say(event, {**line, "parameters": dict(event.parameters)})

    def logged(self, event: StepLogged) -> None:
        """Say the means since the last time."""
        values = {name: asdict(event)[name] for name in ("losses", "learning_rates", "seconds_per_step", "diagnostics")}
        self._say(event, {EVENT: TRAIN, STEP: event.step, **values})

    def sampled(self, event: SamplesSaved) -> None:
        """Say that a sample grid was written."""
        self._say(event, {EVENT: SAMPLE, STEP: event.step, "file": str(event.file.relative_to(event.run))})

    def saved(self, event: CheckpointSaved) -> None:
        """Say that a checkpoint was written."""
        self._say(event, {EVENT: CHECKPOINT, STEP: event.step, "folder": str(event.folder.relative_to(event.run))})

    def evaluated(
        self,
        event: Evaluated,
        *,
        protocol_fields: Mapping[str, str],
        intervals: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Say what was measured; also for measurements after training, by whoever makes them.

        Args:
            event: the measurements.
            protocol_fields: what the protocol's id stands for.
            intervals: confidence intervals by measurement name, where there are any.
        """
        ends = intervals or {}
        line: dict[str, Any] = {EVENT: EVALUATION, STEP: event.step, "split": event.split, "weights": event.weights}
        line |= {"protocol": event.protocol, "protocol_fields": dict(protocol_fields)}
        line["measurements"] = [
            {
                **{name: value for name, value in asdict(entry).items() if name != "per_sample"},
                # A metric may have no value (no face showed the region); NaN is not JSON.
                "value": entry.value if math.isfinite(entry.value) else None,
                "interval": list(ends[entry.name]) if entry.name in ends else None,
            }
            for entry in event.measurements
        ]
        self._say(event, line)

    def warned(self, step: int, message: str) -> None:
        """Say something the user should know."""
        if not self._silent:
            self.warnings.append(message)
        self._say(Warned(self._run.path, step, message), {EVENT: WARNING, STEP: step, "message": message})

    def ended(self, event: RunFinished) -> None:
        """Say how the run ended; a run that failed says so even when its disk has no room for the line."""
        line = {EVENT: event.outcome, STEP: event.step, "message": event.message}
        try:
            self._say(event, line)
        except RunFailure:
            if event.outcome != FAILED:
                raise
            if self._observer is not None:
                self._observer(event)

    def _say(self, event: RunEvent, line: Mapping[str, Any]) -> None:
        if self._silent:
            return
        append_line(self._run.metrics, {**line, TIME: round(time.time(), 3)})
        if self._observer is not None:
            self._observer(event)
        before = len(self._registry.plugins.failures)
        self._registry.notify(event)
        for failure in self._registry.plugins.failures[before:]:
            # A plugin that fails at one event mostly fails at all.
            if str(failure.origin) not in self._failed_plugins:
                self._failed_plugins.add(str(failure.origin))
                step = event.first_step if isinstance(event, RunStarted) else event.step
                self.warned(step, f"the plugin {failure.origin} failed while it watched the run: {failure.error}")


def append_line(file: Path, document: Mapping[str, Any]) -> None:
    """Append one JSON object to a file of lines, in one write.

    Raises:
        RunFailure: the disk is full; half a line may stand at the end of the file, which readers pass over.
    """
    line = (json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n").encode()
    with full_disk_stops(file):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        finally:
            os.close(descriptor)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of ``metrics.jsonl``. A line that a kill or a full disk cut short is passed over."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as stream:
        for text in stream:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def rewind(run: RunFolder, step: int) -> None:
    """Drop the lines that a run resumed at a step will write again, and lines that were cut short."""
    kept = [line for line in read_lines(run.metrics) if not (line.get(EVENT) in _REPEATED and line.get(STEP, 0) > step)]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in kept)
    if run.metrics.exists():
        with full_disk_stops(run.metrics):
            write_file(run.metrics, text.encode())
