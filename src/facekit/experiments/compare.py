"""Runs that exist as the rows of a table: ``facekit compare``. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facekit.evaluation.store import read_evaluation
from facekit.experiments.grid import Row
from facekit.experiments.jobs import AblationFolder, Cell, State, read_failure, recipe_key, trained_steps
from facekit.experiments.results import Done, System, load
from facekit.experiments.settings import MeasuringSettings
from facekit.interfaces import FacekitError
from facekit.recipe.resolved import Mark, ResolvedRecipe
from facekit.registry import Registry
from facekit.training.run.commands import how_to_resume
from facekit.training.run.folder import RunFolder
from facekit.training.run.reading import read_run_recipe


@dataclass(frozen=True)
class ComparedRun:
    """A run that is there.

    Args:
        recipe_key: runs with equal ones differ in the seed alone.
    """

    path: Path
    recipe: ResolvedRecipe
    step: int
    recipe_key: str


class ComparedRuns(AblationFolder):
    """The folder of a comparison, whose runs lie elsewhere."""

    trains = False

    def __init__(self, path: Path, runs: dict[str, ComparedRun]) -> None:
        super().__init__(path)
        self.runs = runs

    def run(self, cell: Cell, key: str) -> Path:
        """Return the folder of a run."""
        return self.runs[key].path

    def evaluation(self, cell: Cell, key: str) -> Path:
        """Return the file of the evaluation of its newest checkpoint."""
        run = self.runs[key]
        return cell.asked.file(RunFolder(run.path).evaluations, step=run.step, weights=cell.weights)

    def state(self, cell: Cell, key: str) -> State:
        """Return whether a run has been measured."""
        return State("done" if self.evaluation(cell, key).is_file() else "trained", self.runs[key].step)


def read_runs(paths: Sequence[Path], *, registry: Registry) -> list[ComparedRun]:
    """Read runs that are to be compared.

    Raises:
        FacekitError: one is no run, has no checkpoint, or was given twice.
    """
    # Imported here: it knows checkpoints, so torch, and grids are listed without.
    from facekit.training.lock_reader import read_run_lock

    runs: list[ComparedRun] = []
    for path in paths:
        folder = RunFolder(path)
        if not folder.holds_a_run:
            raise FacekitError(
                "this is not a run folder: it has no recipe.yaml",
                where=str(path),
                remedy="give the folder that `facekit run` printed",
            )
        if any(path.resolve() == other.path.resolve() for other in runs):
            raise FacekitError("this run was given twice", where=str(path))
        step = trained_steps(path)
        if not step:
            raise FacekitError(
                "this run has no checkpoint yet",
                where=str(path),
                remedy=f"`{how_to_resume(folder)}` goes on with it",
            )
        recipe = read_run_recipe(folder.recipe, registry=registry)
        key = recipe_key(recipe, read_run_lock(folder).data_fingerprint, seed=False)
        runs.append(ComparedRun(path, recipe, step, key))
    return runs


def cells_of(runs: Sequence[ComparedRun], *, measuring: MeasuringSettings) -> list[Cell]:
    """Return the runs as cells: those that differ in the seed alone are one row.

    A row is called by its recipe's name; where several rows have one name, by that and its first folder.
    """
    rows: dict[tuple[str, int], Row] = {}
    names: dict[tuple[str, int], str] = {}
    for run in runs:
        names.setdefault((run.recipe_key, run.step), _plain_name(run.recipe))
    cells = []
    for run in runs:
        place = (run.recipe_key, run.step)
        if place not in rows:
            name = names[place]
            if list(names.values()).count(name) > 1:
                name = f"{name} ({run.path})"
            mark = Mark(str(RunFolder(run.path).recipe), 1, 1, "")
            rows[place] = Row(name, RunFolder(run.path).recipe, None, (), "", mark)
        cells.append(Cell(rows[place], run.recipe.train.seed, run.recipe, measuring))
    return cells


def systems_of(cells: Sequence[Cell], keys: Sequence[str], folder: ComparedRuns) -> list[System]:
    """Return the rows of the table, and after them the baselines that were measured beside the first run."""
    rows: dict[str, list[Done]] = {}
    for cell, key in zip(cells, keys, strict=True):
        done = Done(
            cell.seed,
            folder.run(cell, key),
            load(folder.evaluation(cell, key)),
            read_failure(folder.failure(key)) or "",
            key,
        )
        rows.setdefault(cell.row.name, []).append(done)
    systems = [System(name, tuple(runs)) for name, runs in rows.items()]
    first = folder.evaluation(cells[0], keys[0])
    pattern = first.name.replace(f"-{cells[0].weights}-", "-baseline-*-")
    for file in sorted(first.parent.glob(pattern)):
        evaluation = read_evaluation(file)
        name = evaluation.system.replace("_", " ")
        systems.append(System(name, (Done(None, folder.run(cells[0], keys[0]), evaluation),), trained=False))
    return systems


def _plain_name(recipe: ResolvedRecipe) -> str:
    return recipe.name.removesuffix(f", seed {recipe.train.seed}")
