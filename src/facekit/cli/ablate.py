"""``facekit ablate``: train and measure the rows of a grid, and write the table that compares them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facekit.cli.errors import INTERRUPTED
from facekit.cli.output import note, print_json, print_table
from facekit.cli.progress_bar import data_progress
from facekit.cli.state import FilePath, State, plugin_file_option, set_option
from facekit.cli.sweep_display import sweep_display, tell_failures

if TYPE_CHECKING:
    from facekit.data.store import PackedFaces
    from facekit.experiments.executor import ChosenExecutor
    from facekit.experiments.grid import Grid
    from facekit.experiments.jobs import AblationFolder, Cell
    from facekit.experiments.outputs import Summary
    from facekit.experiments.sweep import SweepOutcome, Work
    from facekit.registry import Registry

WORKER = (sys.executable, "-m", "facekit.cli.experiment_worker")


@click.command(short_help="Train and measure a grid of runs, and compare them.")
@click.argument("grid")
@set_option
@click.option("--seeds", metavar="SEEDS", help="In place of the grid's, e.g. 0,1,2 or 0-4.")
@click.option("--only", multiple=True, metavar="ROW", help="Run this row only. May be repeated.")
@click.option("--out", type=FilePath(), help="The folder; by default ablations/NAME.")
@click.option("--executor", "executor_name", default="local", show_default=True, metavar="NAME", help="Where to run.")
@click.option("--workers", help="Runs at the same time: by default one, or one a GPU.")
@click.option("--per-gpu", help="Runs at the same time on one GPU; by default one.")
@click.option("--threads", help="Threads of each; by default the cores are shared.")
@click.option("--retry", is_flag=True, help="Try again what failed before.")
@click.option("--dry-run", is_flag=True, help="Only list what would be run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_context
def ablate(
    context: click.Context,
    grid: str,
    overrides: tuple[str, ...],
    seeds: str | None,
    only: tuple[str, ...],
    out: Path | None,
    executor_name: str,
    workers: str | None,
    per_gpu: str | None,
    threads: str | None,
    retry: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train every row of GRID with every seed, measure all of them alike, and write the table that compares them.

    GRID is a file, or the name of a shipped one (`facekit recipes ls`). Each run is a process of its own. A run that is
    done is never repeated: it is known by what decides its result. Ctrl-C, or a crash, loses nothing: called again, it
    goes on where it was. A run that fails is shown as failed, and the rest goes on; --retry tries it again.

    Runs are processes on this machine, spread over its GPUs, or what --executor makes of them (`facekit components ls
    executor`); --set executor.NAME=VALUE sets its options.

    The folder gets table.md, table.csv, table.tex, index.html and contact_sheet.png. Exits with 1 when a run failed,
    130 when interrupted, 2 for mistakes.

    \b
    Example:
      facekit ablate ablations/reference_table --dry-run
      facekit ablate ablations/reference_table --set data.use=celebamask_hq --set data.root=data/CelebAMask-HQ
    """
    from facekit.experiments.executor import ChosenExecutor
    from facekit.experiments.grid import read_grid
    from facekit.experiments.jobs import AblationFolder, cell_key, open_faces, resolve_cells
    from facekit.experiments.settings import parse_seeds
    from facekit.experiments.sweep import Work
    from facekit.recipe.library import find_recipe
    from facekit.training.run.folder import RunFolder

    state: State = context.obj
    registry = state.registry()
    settings = [each for each in overrides if each.startswith("executor")]
    settings += given(workers=workers, per_gpu=per_gpu, threads=threads)
    executor = ChosenExecutor(executor_name, settings, registry=registry)
    read = read_grid(find_recipe(grid, registry=registry), registry=registry)
    chosen = {read.row(name).name for name in only} or {row.name for row in read.rows}
    cells = resolve_cells(
        read,
        registry=registry,
        overrides=[each for each in overrides if not each.startswith("executor")],
        seeds=None if seeds is None else parse_seeds(seeds),
    )
    folder = AblationFolder(Path("ablations") / read.name if out is None else out)
    if dry_run:
        _list(cells, open_faces(cells, registry=registry, build=False), folder, chosen, retry=retry, as_json=as_json)
        return
    with data_progress("preparing the data") as preparing:
        faces = open_faces(cells, registry=registry, build=True, progress=preparing)
    keys = [cell_key(cell, packed) for cell, packed in zip(cells, faces, strict=True) if packed is not None]
    with RunFolder(folder.path).owned():
        works: dict[str, Work] = {}
        for cell, key in zip(cells, keys, strict=True):
            found = folder.state(cell, key)
            if cell.row.name in chosen and found.stage != "done" and (retry or found.stage != "failed"):
                works.setdefault(key, Work(cell, key, found))
        if works:
            note(f"{len(works)} of {len(set(keys))} runs are left to do; they go to {folder.path}")
        outcome = run_works([*works.values()], folder, state, executor=executor)
        command = ["facekit", "ablate", grid, *(part for each in overrides for part in ("--set", each))]
        command += [] if executor_name == "local" else ["--executor", executor_name]
        command += ["--out", str(folder.path), *state.plugin_arguments()]
        summary = _results(read, cells, keys, folder, command=shlex.join(command), registry=registry)
    context.exit(_report(outcome, folder, summary, command=shlex.join(command), as_json=as_json))


def _list(
    cells: Sequence[Cell],
    faces: Sequence[PackedFaces | None],
    folder: AblationFolder,
    chosen: set[str],
    *,
    retry: bool,
    as_json: bool,
) -> None:
    from facekit.experiments.jobs import cell_key

    rows = []
    seen: dict[str, str] = {}
    for cell, packed in zip(cells, faces, strict=True):
        key = "" if packed is None else cell_key(cell, packed)
        found = folder.state(cell, key) if key else None
        stage = "new" if found is None else found.stage
        if key in seen:
            plan = f"the same run as {seen[key]}"
        elif cell.row.name not in chosen:
            plan = "left out"
        elif stage == "done":
            plan = "nothing"
        elif stage == "failed" and not retry:
            plan = "nothing (--retry tries again)"
        elif cell.row.baseline is not None or stage == "trained":
            plan = "measure"
        else:
            done = found.step if found is not None else 0
            plan = f"go on from step {done:,}, measure" if done else "train, measure"
        if key:
            seen.setdefault(key, cell.label)
        rows.append(
            (cell.row.name, "-" if cell.seed is None else str(cell.seed), key or "-", stage, f"{cell.steps:,}", plan)
        )
    headings = ("ROW", "SEED", "KEY", "STATE", "STEPS", "PLAN")
    if as_json:
        print_json([dict(zip((name.lower() for name in headings), row, strict=True)) for row in rows])
        return
    print_table(headings, rows, right=("SEED", "STEPS"))
    if any(packed is None for packed in faces):
        note("keys are known once the data is packed: `facekit ablate` begins with that, or `facekit data prepare`")


def _results(
    grid: Grid, cells: Sequence[Cell], keys: Sequence[str], folder: AblationFolder, *, command: str, registry: Registry
) -> Summary:
    """Write the results, unless those that stand there were made of the same."""
    from facekit.experiments.compare import done
    from facekit.experiments.jobs import GRID
    from facekit.experiments.outputs import digest_of, read_summary, write_results
    from facekit.experiments.results import Done, System

    text = grid.path.read_text(encoding="utf-8")
    further = {
        run: registry.further_results(run)
        for run in (folder.run(cell, key) for cell, key in zip(cells, keys, strict=True) if cell.row.baseline is None)
    }
    files = [
        file
        for cell, key in zip(cells, keys, strict=True)
        for file in (folder.evaluation(cell, key), folder.failure(key))
    ]
    files += [each.file for found in further.values() for each in found]
    digest = digest_of([text, command, [cell.label for cell in cells]], files)
    known = read_summary(folder.path, digest)
    if known is not None:
        return known
    rows: dict[str, list[Done]] = {row.name: [] for row in grid.rows}
    for cell, key in zip(cells, keys, strict=True):
        rows[cell.row.name].append(done(cell, key, folder))
    (folder.path / GRID).write_text(text, encoding="utf-8")
    return write_results(
        folder.path,
        [System(row.name, tuple(rows[row.name]), row.note, row.baseline is None) for row in grid.rows],
        digest=digest,
        name=grid.name.replace("_", " "),
        reference=grid.reference,
        kind="facekit ablation",
        description=grid.settings.description,
        columns=grid.settings.columns,
        sheet=grid.settings.sheet,
        published=grid.settings.published,
        grid_text=text,
        commands=[("All of it again; what is done is not repeated", command)],
        further=further,
    )


def _report(outcome: SweepOutcome, folder: AblationFolder, summary: Summary, *, command: str, as_json: bool) -> int:
    """Print what there is now, and return the exit code."""
    if as_json:
        failed: list[Work] = outcome.of("failed")
        print_json(
            {
                "folder": str(folder.path),
                "run": len(outcome.of("done")),
                "failed": [{"run": work.cell.label, "error": work.error} for work in failed],
                "interrupted": outcome.interrupted,
                **summary,
            }
        )
    else:
        print_summary(summary, folder.path)
    tell_failures(outcome, folder)
    if outcome.interrupted or outcome.of("stopped"):
        note(f"stopped; what was going on has saved a checkpoint. Go on: {command}")
        return INTERRUPTED
    if outcome.of("failed"):
        note(f"try again what failed: {command} --retry")
        return 1
    return 0


def given(**options: str | None) -> list[str]:
    """Return the options of an executor that were given, as ``--set`` has them."""
    return [f"executor.{name}={value}" for name, value in options.items() if value is not None]


def run_works(works: Sequence[Work], folder: AblationFolder, state: State, *, executor: ChosenExecutor) -> SweepOutcome:
    """Train and measure what is left to do, each run in a process of its own, under a display on stderr."""
    from facekit.experiments.sweep import SweepOutcome, run_sweep

    if not works:
        return SweepOutcome()
    built = executor.build(folder.path / "executor")
    with sweep_display() as display:
        return run_sweep(works, folder, executor=built, command=WORKER, plugin_files=state.plugin_files, watch=display)


def print_summary(summary: Summary, folder: Path) -> None:
    """Print a table, and where it lies, on stdout."""
    columns = summary["columns"]
    print_table(columns, summary["rows"], right=columns[1:], figures=True)
    for name, table in summary["further"].items():
        click.echo(f"\n{name}")
        print_table(table["columns"], table["rows"], right=table["columns"][1:], figures=True)
    click.echo(f"\n▲ better, ▼ worse than {summary['reference']!r}; ± is the deviation over seeds")
    click.echo(f"page:    {folder / 'index.html'}")
    click.echo(f"tables:  {folder / 'table.md'}, table.csv, table.tex")
