"""``facekit compare``: put runs that exist beside each other."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Literal

import click

from facekit.cli.ablate import given, print_summary, run_works
from facekit.cli.errors import INTERRUPTED
from facekit.cli.output import note, print_json
from facekit.cli.state import FilePath, State, plugin_file_option
from facekit.cli.sweep_display import tell_failures


@click.command(short_help="Put runs that exist beside each other.")
@click.argument("runs", nargs=-1, required=True, type=FilePath())
@click.option("--against", type=FilePath(), help="The run that others are tested against.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "extra"]),
    default="test",
    show_default=True,
    help="Whose faces are measured.",
)
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--out", type=FilePath(), default=Path("comparison"), show_default=True, help="The folder.")
@click.option("--workers", help="Runs measured at a time: by default one, or one a GPU.")
@click.option("--threads", help="Threads of each; by default the cores are shared.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_context
def compare(
    context: click.Context,
    runs: tuple[Path, ...],
    against: Path | None,
    split: Literal["train", "validation", "test", "extra"],
    weights: Literal["ema", "live"],
    out: Path,
    workers: str | None,
    threads: str | None,
    as_json: bool,
) -> None:
    """Compare RUNS: the table, contact sheet and curves that `facekit ablate` writes, for runs that exist.

    Runs that differ in the seed alone are one row. A run that has not been measured on the split is measured first,
    with the metrics of its own recipe. Numbers with different protocol ids never stand in one column.

    \b
    Example:
      facekit compare runs/first runs/second --out comparison
    """
    from facekit.experiments.compare import ComparedRuns, cells_of, read_runs, systems_of
    from facekit.experiments.executor import ChosenExecutor
    from facekit.experiments.jobs import KEY_LENGTH
    from facekit.experiments.outputs import digest_of, read_summary, write_results
    from facekit.experiments.settings import MeasuringSettings
    from facekit.experiments.sweep import Work
    from facekit.interfaces import FacekitError
    from facekit.training.run.folder import RunFolder

    state: State = context.obj
    if against is not None and against not in runs:
        raise FacekitError(f"{str(against)!r} is not among the runs", where="--against")
    if len(runs) < 2:
        raise FacekitError("a comparison takes two runs or more", remedy="`facekit evaluate` measures one")
    registry = state.registry()
    executor = ChosenExecutor("local", given(workers=workers, threads=threads), registry=registry)
    read = read_runs(runs, registry=registry)
    cells = cells_of(read, measuring=MeasuringSettings(split=split, weights=weights))
    keys = [hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:KEY_LENGTH] for run in read]
    folder = ComparedRuns(out, dict(zip(keys, read, strict=True)))
    reference = cells[0 if against is None else runs.index(against)].row.name
    with RunFolder(out).owned():
        works = [
            Work(cell, key, found)
            for cell, key in zip(cells, keys, strict=True)
            if (found := folder.state(cell, key)).stage != "done"
        ]
        if works:
            note(f"{len(works)} of {len(cells)} runs have not been measured like this; they are measured now")
        outcome = run_works(works, folder, state, executor=executor)
        systems = systems_of(cells, keys, folder)
        files = [run.evaluation.file for system in systems for run in system.runs if run.evaluation is not None]
        names = [(system.name, [(run.seed, run.error) for run in system.runs]) for system in systems]
        further = {run.path: registry.further_results(run.path) for run in read}
        files += [each.file for found in further.values() for each in found]
        digest = digest_of([names, reference], files)
        command = ["facekit", "compare", *map(str, runs), "--split", split, "--weights", weights, "--out", str(out)]
        summary = read_summary(out, digest) or write_results(
            out,
            systems,
            digest=digest,
            name=" and ".join(dict.fromkeys(cell.row.name for cell in cells)),
            reference=reference,
            kind="facekit comparison",
            commands=[("The same again", shlex.join([*command, *state.plugin_arguments()]))],
            further=further,
        )
    if as_json:
        print_json({"folder": str(out), **summary})
    else:
        print_summary(summary, out)
    tell_failures(outcome, folder)
    context.exit(INTERRUPTED if outcome.interrupted else 1 if outcome.of("failed") else 0)
