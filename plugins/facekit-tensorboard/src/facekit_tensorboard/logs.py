"""Finding the logs of runs, and reading their curves. Imports TensorBoard only to read."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from facekit.interfaces import FacekitError
from facekit_tensorboard.settings import IN_THE_RUN, MARK, SWITCH, Settings

HEADER = ("run", "tag", "step", "seconds", "value")
"""Columns of an export; seconds are those since 1970."""


@dataclass(frozen=True)
class Log:
    """A log and the name it is shown under."""

    name: str
    folder: Path


def find_logs(paths: Sequence[Path], settings: Settings) -> list[Log]:
    """Return the logs of runs.

    Args:
        paths: run folders, folders of run folders, or logs themselves.
        settings: where runs have their logs.

    Raises:
        FacekitError: a folder does not exist, or there is no log in it.
    """
    logs: dict[Path, Path] = {}  # by run
    for path in paths:
        if not path.is_dir():
            raise FacekitError("there is no such folder", where=str(path), remedy="give run folders")
        found = _log_in(path, settings)
        if not found:
            for child in sorted(path.iterdir()):
                found |= _log_in(child, settings) if child.is_dir() else {}
        if not found:
            raise FacekitError(
                "there is no TensorBoard log of a run here",
                where=str(path),
                remedy=f"a run writes one while it trains, where facekit-tensorboard is installed and {SWITCH} is not "
                "off; `facekit report` draws the curves of any run",
            )
        logs |= found
    return [Log(_name(run, list(logs)), log) for run, log in logs.items()]


def _log_in(path: Path, settings: Settings) -> dict[Path, Path]:
    """Return the log of a run, by the run's path; empty where there is none."""
    for log in (settings.log_of(path), path / IN_THE_RUN):
        if any(log.rglob(f"*{MARK}*")):
            return {path.resolve(): log}
    if any(path.glob(f"*{MARK}*")):
        run = path.resolve()
        return {run.parent if run.name == IN_THE_RUN else run: path}
    return {}


def _name(run: Path, others: Sequence[Path]) -> str:
    """Return the shortest end of a run's path that no other run has."""
    parts = run.parts[1:]
    for length in range(1, len(parts)):
        end = parts[-length:]
        if sum(other.parts[-length:] == end for other in others) == 1:
            return "/".join(end)
    return "/".join(parts)


def read_curves(log: Path) -> Iterator[tuple[str, str, int, float, float]]:
    """Yield each value of each curve of a log: the part of the log, tag, step, seconds since 1970, value.

    The part is empty for the training, ``test-ema`` and so on for measurements. Steps that were done again after a
    resume come once.
    """
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it would warn of every resume
    folders = sorted({file.parent for file in log.rglob(f"*{MARK}*")})
    for folder in folders:
        part = "" if folder == log else folder.relative_to(log).as_posix()
        accumulator = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
        accumulator.Reload()
        for tag in sorted(accumulator.Tags()[SCALARS]):
            for entry in accumulator.Scalars(tag):
                yield part, tag, entry.step, entry.wall_time, entry.value


def write_csv(logs: Sequence[Log], stream: TextIO) -> int:
    """Write the curves of logs as CSV with the columns :data:`HEADER`; return how many values there are."""
    writer = csv.writer(stream)
    writer.writerow(HEADER)
    count = 0
    for log in logs:
        for part, tag, step, seconds, value in read_curves(log.folder):
            writer.writerow((f"{log.name}/{part}" if part else log.name, tag, step, f"{seconds:.3f}", f"{value:.7g}"))
            count += 1
    return count
