"""The folder of an ablation: the one place that knows the names of its files, and how far each of its runs is.

::

    OUT/
      grid.yaml          the grid as it was read
      runs/              sft_pix2pixhd-seed0-1f0c9a3e5b7d/ and so on: run folders as `facekit run` writes them
      baselines/         what was measured of rows that need no training
      jobs/              what a process was asked to do, by key
      logs/              what it printed
      failures/          why it failed
      table.md  table.csv  table.tex  index.html  contact_sheet.png
      results.json       what the table holds, and which files it was made of
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facekit.experiments.jobs import Cell
from facekit.interfaces import FacekitError
from facekit.training.run.damaged_json import step_of
from facekit.training.run.event_log import EVENT, read_lines
from facekit.training.run.folder import RunFolder, full_disk_stops, steps_on_disk, write_json

RUNS, BASELINES, JOBS, LOGS, FAILURES = "runs", "baselines", "jobs", "logs", "failures"
GRID, RESULTS = "grid.yaml", "results.json"
MARKDOWN, CSV, LATEX, PAGE, SHEET = "table.md", "table.csv", "table.tex", "index.html", "contact_sheet.png"

_LONGEST_SLUG = 40

Stage = Literal["done", "trained", "half-trained", "failed", "new"]
"""How far a cell is: measured, trained and not measured, stopped in the middle, failed, or not begun."""


@dataclass(frozen=True)
class State:
    """How far a cell is.

    Args:
        stage: see :data:`Stage`.
        step: updates that are done.
        error: why it failed; empty unless it did.
    """

    stage: Stage
    step: int = 0
    error: str = ""


class AblationFolder:
    """The files of an ablation.

    Args:
        path: the folder; it need not exist yet.
    """

    trains = True
    """Whether its cells are trained; else they are runs that are there, which are measured only."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def run(self, cell: Cell, key: str) -> Path:
        """Return the folder of a cell: the one that its key is in already, whatever its row was called then."""
        parent = self.path / (RUNS if cell.row.baseline is None else BASELINES)
        found = sorted(parent.glob(f"*-{key}"))
        if found:
            return found[0]
        seed = "" if cell.seed is None else f"-seed{cell.seed}"
        return parent / f"{slug(cell.row.name)}{seed}-{key}"

    def job(self, key: str) -> Path:
        """Return the file that says what a process is to do."""
        return self.path / JOBS / f"{key}.json"

    def recipe(self, key: str) -> Path:
        """Return the file of the recipe that a process is to run."""
        return self.path / JOBS / f"{key}.yaml"

    def log(self, key: str) -> Path:
        """Return the file of what a process printed."""
        return self.path / LOGS / f"{key}.log"

    def failure(self, key: str) -> Path:
        """Return the file that says why a cell failed."""
        return self.path / FAILURES / f"{key}.json"

    def evaluation(self, cell: Cell, key: str) -> Path:
        """Return the file of a cell's evaluation, which stands once the cell is done."""
        return cell.asked.file(RunFolder(self.run(cell, key)).evaluations, step=cell.steps, weights=cell.weights)

    def state(self, cell: Cell, key: str) -> State:
        """Return how far a cell is."""
        if self.evaluation(cell, key).is_file():
            return State("done", cell.steps)
        failure = read_failure(self.failure(key))
        step = trained_steps(self.run(cell, key)) if cell.row.baseline is None else 0
        if failure is not None:
            return State("failed", step, failure)
        if cell.row.baseline is not None or not RunFolder(self.run(cell, key)).holds_a_run:
            return State("new")
        return State("trained" if step >= cell.steps else "half-trained", step)


def trained_steps(run: Path) -> int:
    """Return the step of a run's newest checkpoint; 0 where there is none."""
    return max(steps_on_disk(RunFolder(run).checkpoints), default=0)


def logged_step(run: Path) -> int:
    """Return the last step that a run has logged since it last started or went on; 0 where there is none."""
    step = 0
    for line in read_lines(RunFolder(run).metrics):
        if line.get(EVENT) in ("started", "resumed", "train", "checkpoint"):
            step = step_of(line) or 0
    return step


def write_failure(file: Path, message: str) -> None:
    """Write down why a cell failed."""
    with full_disk_stops(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"error": message})


def read_failure(file: Path) -> str | None:
    """Return why a cell failed; None where it did not."""
    try:
        document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return str(document["error"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FacekitError(
            f"the note of a failure cannot be read: {error}", where=str(file), remedy="remove it, and it is tried again"
        ) from error


def slug(name: str) -> str:
    """Return a name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_SLUG].strip("-") or "row"
