"""What happened in a run: ``metrics.jsonl``, and the events for whoever watches."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

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
from facekit.registry import PluginOrigin, Registry
from facekit.training.run.folder import RunFolder, folder_removed, full_disk_stops, write_file
from facekit.training.run.metric_lines import damaged_lines, decode_lines, encode_line, step_of

Observer = Callable[[RunEvent], None]

EVENT = "event"
"""Names a line: ``started``, ``resumed``, ``train``, ``evaluation`` and so on; the last one by the run's outcome."""

_REPEATED = ("train", "evaluation", "sample", "checkpoint", "warning")
"""Lines that a resumed run writes again when it passes their step."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Args:
        outcome: ``finished``, or ``interrupted`` (Ctrl-C, SIGTERM).
        seconds: how long this call took, set-up included.
    """

    outcome: str
    step: int
    steps: int
    run: Path
    seconds: float
    warnings: tuple[str, ...]


class Journal:
    """Appends to ``metrics.jsonl`` and tells the observer and the plugins.

    Each line is one write of its own, so that a reader or a kill sees whole lines, but perhaps for the last.

    Args:
        registry: the plugins that watch; None to tell none of them.
        observer: who else watches; None for nobody.
        silent: write and tell nothing (every process of a distributed run but the first).
    """

    def __init__(
        self, run: RunFolder, *, registry: Registry | None, observer: Observer | None = None, silent: bool = False
    ) -> None:
        self.warnings: list[str] = []
        self._run = run
        self._watchers = None if registry is None else registry.watchers()
        self._watched_before: dict[PluginOrigin, float] = {}
        self._observer = observer
        self._silent = silent

    def started(self, event: RunStarted) -> None:
        """Say that the run starts or goes on."""
        line = {"steps": event.steps, "parameters": dict(event.parameters)}
        self._say(event, "resumed" if event.resumed else "started", line)

    def logged(self, event: StepLogged) -> None:
        """Say the means since the last time, and how long the watchers took since then."""
        names = ("losses", "learning_rates", "seconds_per_step", "diagnostics")
        line: dict[str, Any] = {name: getattr(event, name) for name in names}
        if self._watchers is not None:
            took: dict[str, float] = defaultdict(float)
            for origin, seconds in self._watchers.seconds.items():
                took[origin.distribution] += round(seconds - self._watched_before.get(origin, 0.0), 6)
            self._watched_before = dict(self._watchers.seconds)
            line["watchers"] = took
        self._say(event, "train", line)

    def sampled(self, event: SamplesSaved) -> None:
        """Say that a sample grid was written."""
        self._say(event, "sample", {"file": str(event.file.relative_to(event.run))})

    def saved(self, event: CheckpointSaved) -> None:
        """Say that a checkpoint was written."""
        self._say(event, "checkpoint", {"folder": str(event.folder.relative_to(event.run))})

    def evaluated(self, event: Evaluated) -> None:
        """Say what was measured; also for measurements after training, by whoever makes them."""
        line: dict[str, Any] = {
            name: getattr(event, name) for name in ("split", "weights", "protocol", "protocol_fields")
        }
        line["measurements"] = [
            {
                **{name: value for name, value in asdict(entry).items() if name != "per_sample"},
                # A metric may have no value (no face showed the region); NaN is not JSON.
                "value": entry.value if math.isfinite(entry.value) else None,
                "interval": event.intervals.get(entry.name),
            }
            for entry in event.measurements
        ]
        self._say(event, "evaluation", line)

    def warned(self, step: int, message: str) -> None:
        """Say something the user should know."""
        if not self._silent:
            self.warnings.append(message)
        self._say(Warned(self._run.path, step, message), "warning", {"message": message})

    def ended(self, event: RunFinished) -> None:
        """Say how the run ended; a run that failed says so even when its disk has no room for the line."""
        try:
            self._say(event, event.outcome, {"message": event.message})
        except RunFailure:
            if event.outcome != "failed":
                raise
            if self._observer is not None:
                self._observer(event)

    def _say(self, event: RunEvent, name: str, line: Mapping[str, Any]) -> None:
        if self._silent:
            return
        step = event.first_step if isinstance(event, RunStarted) else event.step
        append_line(self._run.metrics, {EVENT: name, "step": step, **line, "time": round(time.time(), 3)})
        if self._observer is not None:
            self._observer(event)
        if self._watchers is not None:
            with torch_settings_kept():
                self._watchers.tell(event, complain=partial(self.warned, step))


def append_line(file: Path, document: Mapping[str, Any]) -> None:
    """Append one JSON object to a file of lines, with its checksum, in one write.

    Raises:
        RunFailure: the disk is full, or the file cannot be written; half a line may stand at its end, which readers
            pass over.
    """
    _append(file, encode_line(document))


def _append(file: Path, line: bytes) -> None:
    with _usable(file):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        finally:
            os.close(descriptor)


@contextmanager
def _usable(file: Path) -> Iterator[None]:
    """Turn the system's errors about a file of lines into sentences."""
    try:
        with full_disk_stops(file):
            yield
    except OSError as error:
        if not file.parent.is_dir():
            raise folder_removed(file.parent) from error
        raise RunFailure(
            f"the file cannot be read or written: {error.strerror or error}",
            where=str(file),
            remedy="make it a file that can be written, or remove it; the checkpoints are intact",
        ) from error


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of ``metrics.jsonl``. A line that is cut short or damaged is passed over."""
    if file.is_file():
        yield from decode_lines(file.read_bytes()).events


def rewind(run: RunFolder, step: int) -> list[str]:
    """Drop the lines that a run resumed at a step will write again, and set damaged ones aside.

    Returns:
        what the user should know: how many lines were damaged, and where they are now.

    Raises:
        RunFailure: the file cannot be read or written.
    """
    if not run.metrics.exists():
        return []
    with _usable(run.metrics):
        found = decode_lines(run.metrics.read_bytes())
        lines = []
        for line in found.events:
            at = step_of(line)
            if line.get(EVENT) not in _REPEATED or (at is not None and at <= step):
                lines.append(encode_line(line))
        if found.damaged:
            # Nobody knows what they said, but people may read more in them than a program does.
            _append(run.damaged_metrics, b"".join(line + b"\n" for line in found.damaged.values()))
        write_file(run.metrics, b"".join(lines))
    if not found.damaged:
        return []
    return [f"{damaged_lines(found)}; they are in {run.damaged_metrics.name} now, and what is sound stays"]


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Put the settings back that weights depend on, whatever is done within: a watcher must not change a run."""
    # Imported here: the module that tells watchers is read without torch as well.
    import torch

    def determinism() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    cudnn = torch.backends.cudnn
    settings: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_default_dtype, torch.set_default_dtype),
        # None, not the CPU: a default that is set intercepts every call that makes a tensor.
        (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (determinism, lambda mode: torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])),
        *(
            (partial(getattr, cudnn, name), partial(setattr, cudnn, name))
            for name in ("enabled", "benchmark", "deterministic")
        ),
    ]
    before = [get() for get, _ in settings]
    try:
        yield
    finally:
        for (get, put), value in zip(settings, before, strict=True):
            if get() != value:
                put(value)
