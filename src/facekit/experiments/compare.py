"""Runs that exist as the rows of a table: ``facekit compare``. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facekit.evaluation.store import read_evaluation
from facekit.experiments.grid import Row
from facekit.experiments.jobs import AblationFolder, Cell, State, read_failure, recipe_key, trained_steps
from facekit.experiments.results import Done, System
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
    from facekit.training.lockfile import read_run_lock

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
    firsts: dict[tuple[str, int], ComparedRun] = {}
    for run in runs:
        firsts.setdefault((run.recipe_key, run.step), run)
    plain = {place: run.recipe.name.removesuffix(f", seed {run.recipe.train.seed}") for place, run in firsts.items()}
    rows = {}
    for place, run in firsts.items():
        several = list(plain.values()).count(plain[place]) > 1
        recipe = RunFolder(run.path).recipe
        name = f"{plain[place]} ({run.path})" if several else plain[place]
        rows[place] = Row(name, recipe, None, (), "", Mark(str(recipe), 1, 1, ""))
    return [Cell(rows[run.recipe_key, run.step], run.recipe.train.seed, run.recipe, measuring) for run in runs]


def systems_of(cells: Sequence[Cell], keys: Sequence[str], folder: ComparedRuns) -> list[System]:
    """Return the rows of the table, and after them the baselines that were measured beside the first run."""
    rows: dict[str, list[Done]] = {}
    for cell, key in zip(cells, keys, strict=True):
        rows.setdefault(cell.row.name, []).append(done(cell, key, folder))
    systems = [System(name, tuple(runs)) for name, runs in rows.items()]
    first = folder.evaluation(cells[0], keys[0])
    pattern = first.name.replace(f"-{cells[0].weights}-", "-baseline-*-")
    for file in sorted(first.parent.glob(pattern)):
        evaluation = read_evaluation(file)
        run = Done(None, folder.run(cells[0], keys[0]), evaluation)
        systems.append(System(evaluation.system.replace("_", " "), (run,), trained=False))
    return systems


def done(cell: Cell, key: str, folder: AblationFolder) -> Done:
    """Return what came of a cell."""
    file = folder.evaluation(cell, key)
    evaluation = read_evaluation(file) if file.is_file() else None
    error = "" if evaluation is not None else read_failure(folder.failure(key)) or ""
    return Done(cell.seed, folder.run(cell, key), evaluation, error)
