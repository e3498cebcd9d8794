"""The cells of a grid (one row with one seed each), and the folder of an ablation: how far each cell is. Torch-free.

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

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facekit.data.parallel import ProgressCallback
from facekit.data.store import PackedFaces
from facekit.evaluation.store import BASELINE_PREFIX, Asked
from facekit.experiments.grid import Grid, Row
from facekit.experiments.settings import Keep, MeasuringSettings
from facekit.interfaces import FacekitError
from facekit.recipe.nodes import Entry, MapNode, ScalarNode
from facekit.recipe.problems import Problems, RecipeError
from facekit.recipe.reading import read_recipe
from facekit.recipe.resolved import Mark, ResolvedRecipe
from facekit.registry import Registry
from facekit.training.open_data import find_data, open_data
from facekit.training.run.event_log import EVENT, read_lines
from facekit.training.run.folder import (
    CHECKPOINTS,
    MANIFEST,
    RunFolder,
    full_disk_stops,
    step_name,
    steps_on_disk,
    write_json,
)
from facekit.training.run.metric_lines import step_of

KEY_LENGTH = 12
"""Hex digits of a key."""

NOT_DECISIVE = (
    "device",
    "cuda_graphs",
    "deterministic",
    "log_every",
    "checkpoint_every",
    "sample_every",
    "samples",
    "evaluate_every",
    "keep",
)
"""Settings of ``train`` that do not change what a run becomes."""

_DATA = ("size", "mirror", "reference")
"""Settings of the core beside the dataset that do; which faces there are is known by their content."""


@dataclass(frozen=True)
class Cell:
    """One row with one seed.

    Args:
        seed: its seed; None for a baseline.
        recipe: what it trains; for a baseline, whose data and metrics.
        keep: what is left of it once it is measured.
    """

    row: Row
    seed: int | None
    recipe: ResolvedRecipe
    measuring: MeasuringSettings
    keep: Keep = "checkpoints"

    @property
    def label(self) -> str:
        """The row and the seed, for people."""
        return self.row.name if self.seed is None else f"{self.row.name}, seed {self.seed}"

    @property
    def steps(self) -> int:
        """Generator updates; 0 for a baseline."""
        return 0 if self.seed is None else self.recipe.train.steps or 0

    @property
    def asked(self) -> Asked:
        """What is measured."""
        measuring = self.measuring
        return Asked.of(self.recipe, split=measuring.split, seed=measuring.seed, limit=measuring.limit)

    @property
    def weights(self) -> str:
        """Which weights are measured; a run that keeps no average has live ones only."""
        if self.row.baseline is not None:
            return f"{BASELINE_PREFIX}{self.row.baseline}"
        return self.measuring.weights if self.recipe.train.ema.on else "live"


def resolve_cells(
    grid: Grid, *, registry: Registry, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None
) -> list[Cell]:
    """Resolve every row with every seed.

    Args:
        overrides: laid over every row, above all that the grid says.
        seeds: in place of the grid's.

    Raises:
        RecipeError: with every mistake in what the rows set, each with its place in the grid.
    """
    problems = Problems()
    for override in overrides:
        if override.partition("=")[0].strip() == "train.seed":
            mark = Mark(f"--set {override}", 1, 1, override)
            problems.add("each row is trained with every seed", mark, ("train", "seed"), "use --seeds")
    cells: list[Cell] = []
    for row in grid.rows:
        steps = MapNode({"steps": Entry(row.mark, ScalarNode(grid.settings.steps, row.mark))}, row.mark)
        budget = MapNode({"train": Entry(row.mark, steps)}, row.mark)
        try:
            recipe = read_recipe(row.base, registry=registry, layers=(*row.layers, budget), overrides=overrides)
        except RecipeError as error:
            for problem in error.problems:
                problems.add(problem.message, problem.mark, problem.path, problem.remedy)
            continue
        if not recipe.metrics:
            message = "nothing is measured: neither the grid nor the recipe of this row names metrics"
            problems.add(message, row.mark, ("rows", row.name), "add `metrics:` to the grid")
        if recipe.train.steps is None:
            problems.add("the budget is in steps", row.mark, ("train", "epochs"), "use --set train.steps=N")
        of_row = (None,) if row.baseline else grid.settings.seeds if seeds is None else seeds
        how = (grid.settings.measure, grid.settings.keep)
        cells += [Cell(row, seed, _with_seed(recipe, row.name, seed), *how) for seed in of_row]
    problems.raise_if_any()
    return cells


def open_faces(
    cells: Sequence[Cell], *, registry: Registry, build: bool, progress: ProgressCallback | None = None
) -> list[PackedFaces | None]:
    """Return the packed faces of every cell; cells with the same data share them.

    Args:
        build: pack what is not packed yet; else its place is None.

    Raises:
        FacekitError: a dataset cannot be read.
        RunFailure: the disk is full.
    """
    opened: dict[str, PackedFaces | None] = {}
    found: list[PackedFaces | None] = []
    for cell in cells:
        recipe = cell.recipe
        name = json.dumps(recipe.document["data"], sort_keys=True, default=str)
        if name not in opened:
            opened[name] = open_data(recipe, registry, progress) if build else find_data(recipe, registry)
        found.append(opened[name])
    return found


def cell_key(cell: Cell, faces: PackedFaces) -> str:
    """Return the key of a cell: see :func:`recipe_key`; a baseline is known by its name and the faces."""
    if cell.row.baseline is not None:
        return _hash({"faces": faces.fingerprint, "baseline": cell.row.baseline})
    return recipe_key(cell.recipe, faces.fingerprint)


def recipe_key(recipe: ResolvedRecipe, fingerprint: str, *, seed: bool = True) -> str:
    """Return a hash of all that decides what a run becomes, and of nothing else.

    That is the model, the losses, how it is trained, its seed, and the faces by their content: not names, paths,
    metrics, or how often something is logged. Versions of plugins are no part of it, versions of components are.

    Args:
        seed: whether the seed counts.
    """
    document = recipe.document
    train = {name: value for name, value in document["train"].items() if name not in NOT_DECISIVE}
    train["initialise"] = [
        {**entry, "weights": weights_digest(Path(entry["weights"]))} for entry in train["initialise"]
    ]
    if not seed:
        del train["seed"]
    data = {name: document["data"][name] for name in _DATA}
    said = {"faces": fingerprint, "data": data, "train": train}
    return _hash({**said, "model": document["model"], "losses": document["losses"]})


def _hash(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of weights that a model starts from: a file, or the newest checkpoint of a run.

    Raises:
        FacekitError: there is neither.
    """
    file = path = path.expanduser()
    if path.is_dir():
        steps = steps_on_disk(path / CHECKPOINTS)
        if not steps:
            raise FacekitError("this run has no checkpoint to start from", where=str(path))
        file = path / CHECKPOINTS / step_name(steps[-1]) / MANIFEST  # it holds the checksums of the weights
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise FacekitError(f"the weights to start from cannot be read: {error}", where=str(path)) from error


def _with_seed(recipe: ResolvedRecipe, name: str, seed: int | None) -> ResolvedRecipe:
    document: Mapping[str, Any] = {**recipe.document, "name": name}
    if seed is None:
        return replace(recipe, name=name, document=document)
    named = f"{name}, seed {seed}"
    document = {**document, "name": named, "train": {**document["train"], "seed": seed}}
    return replace(recipe, name=named, train=recipe.train.model_copy(update={"seed": seed}), document=document)


RUNS, BASELINES, JOBS, LOGS, FAILURES = "runs", "baselines", "jobs", "logs", "failures"
GRID, RESULTS = "grid.yaml", "results.json"
MARKDOWN, CSV, LATEX, PAGE, SHEET = "table.md", "table.csv", "table.tex", "index.html", "contact_sheet.png"

_LONGEST_SLUG = 40

Stage = Literal["done", "trained", "half-trained", "failed", "new"]
"""How far a cell is: measured, trained and not measured, stopped in the middle, failed, or not begun."""


@dataclass(frozen=True)
class State:
    """How far a cell is, and why it failed if it did."""

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
