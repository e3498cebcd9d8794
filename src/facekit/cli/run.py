"""``facekit run``, ``resume`` and ``report``: train under a display, measure, write the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.evaluate import evaluation_progress, print_measurements
from facekit.cli.output import note, print_json, print_notices
from facekit.cli.state import FilePath, State, plugin_file_option, set_option

if TYPE_CHECKING:
    from facekit.evaluation import EvaluationResult
    from facekit.recipe import ResolvedRecipe
    from facekit.registry import Registry
    from facekit.training.run.event_log import RunResult

STEPS_WORTH_AN_ESTIMATE = 100
"""Runs of fewer steps begin at once: the estimate of their memory takes seconds."""


@click.command(short_help="Train what a recipe describes, measure it, write a report.")
@click.argument("recipe")
@set_option
@click.option("--out", type=FilePath(), help="The run folder; by default runs/NAME-1, runs/NAME-2 ...")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
@plugin_file_option
@click.pass_context
def run(context: click.Context, recipe: str, overrides: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Train what RECIPE describes, measure it on the test split, and write a report.

    RECIPE is a file, or the name of a shipped recipe (`facekit recipes ls`). The run folder holds the recipe with every
    default written out, metrics, samples, checkpoints and report.html. Ctrl-C saves a checkpoint; `facekit resume` goes
    on from it, and so does the same command with the same --out. Exits with 130 when interrupted, 2 for mistakes, 1
    when the run could not go on.

    \b
    Example:
      facekit run sft_pix2pixhd --out runs/first
      facekit run recipes/sft_pix2pixhd.yaml --set data.use=celebamask_hq --set data.root=data/CelebAMask-HQ \\
        --set train.steps=600
    """
    from facekit.recipe.library import find_recipe
    from facekit.training.run.folder import RunFolder
    from facekit.training.run.processes import launch
    from facekit.training.run.reading import read_run_recipe

    state: State = context.obj
    registry = state.registry()
    path = find_recipe(recipe, registry=registry)
    resolved = read_run_recipe(path, registry=registry, overrides=overrides)
    if out is None and launch().size > 1:
        raise click.UsageError("several processes train together: name their run folder with --out")
    folder = next_run_folder(resolved.name) if out is None else out
    if launch().rank == 0:
        print_notices(resolved.notices)
        note(f"results go to {folder}" + (", which holds a run: it goes on" if RunFolder(folder).holds_a_run else ""))
    command = ["facekit", "run", recipe]
    command += [part for override in overrides for part in ("--set", override)]
    command += ["--out", str(folder), *state.plugin_arguments()]
    code = train_and_measure(resolved, out=folder, registry=registry, command=command, resume=None, as_json=as_json)
    context.exit(code)


@click.command(short_help="Go on with a run that was stopped.")
@click.argument("run", type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
@plugin_file_option
@click.pass_context
def resume(context: click.Context, run: Path, as_json: bool) -> None:
    """Go on with RUN from its newest sound checkpoint, then measure it and write its report.

    The result is the same, bit for bit, as if the run had never stopped. The recipe is the one locked in the
    run folder. A run that was finished is measured and reported again.

    \b
    Example:
      facekit resume runs/first
    """
    from facekit.interfaces import FacekitError
    from facekit.training.run.folder import RunFolder
    from facekit.training.run.processes import launch
    from facekit.training.run.reading import read_run_recipe

    state: State = context.obj
    registry = state.registry()
    folder = RunFolder(run)
    if not folder.holds_a_run:
        raise FacekitError(
            "this is not a run folder: it has no recipe.yaml",
            where=str(run),
            remedy="give the folder that `facekit run` printed",
        )
    recipe = read_run_recipe(folder.recipe, registry=registry)

    if launch().rank == 0:
        print_notices(recipe.notices)
    command = ["facekit", "resume", str(run), *state.plugin_arguments()]
    code = train_and_measure(recipe, out=run, registry=registry, command=command, resume=True, as_json=as_json)
    context.exit(code)


@click.command(short_help="Write a run's report.html again.")
@click.argument("run", type=FilePath())
def report(run: Path) -> None:
    """Write RUN's report.html again, also of a run that still goes on, was stopped or failed.

    The page is one file that needs nothing else: it can be mailed, and opens without a server.

    \b
    Example:
      facekit report runs/first
    """
    from facekit.report import write_report

    click.echo(str(write_report(run)))


def train_and_measure(
    recipe: ResolvedRecipe,
    *,
    out: Path,
    registry: Registry,
    command: Sequence[str],
    resume: bool | None,
    as_json: bool,
) -> int:
    """Train, measure on the test split with the averaged weights, write the report; return the exit code.

    A run that is interrupted or fails gets a report of how far it came, and is not measured. When several
    processes train together (torchrun), only the first one prints, measures and reports.

    Raises:
        FacekitError: as :func:`facekit.training.loop.train` and the metrics do.
    """
    # Imported after the recipe is read, so that its mistakes are reported at once: torch takes seconds to import.
    from facekit.cli.display import training_display
    from facekit.cli.errors import INTERRUPTED
    from facekit.evaluation import check_metrics, validator
    from facekit.report import write_report
    from facekit.training.distributed import PeersLost
    from facekit.training.loop import train
    from facekit.training.run.commands import lock_of, resume_command
    from facekit.training.run.folder import RunFolder
    from facekit.training.run.processes import launch

    check_metrics(recipe, registry=registry)
    measure = validator(recipe, registry=registry) if recipe.train.evaluate_every else None
    if launch().rank:
        train(recipe, out=out, registry=registry, resume=resume, command=shlex.join(command), evaluate=measure)
        return 0
    if (recipe.train.steps or STEPS_WORTH_AN_ESTIMATE) >= STEPS_WORTH_AN_ESTIMATE:
        _tell_memory(recipe, registry)
    images = recipe.train.batch * recipe.train.accumulate * launch().size
    with training_display(images_per_step=images) as display:
        try:
            result = train(
                recipe,
                out=out,
                registry=registry,
                observer=display,
                resume=resume,
                command=shlex.join(command),
                evaluate=measure,
                progress=display.preparing,
            )
        except PeersLost:
            raise  # what starts all of them again waits for this one, and not for long
        except BaseException:
            # Not before the run began: the folder may hold another run, or belong to another process. The report says
            # how far the run came; whatever stops the report must not hide what stopped the run.
            if display.state.run:
                with suppress(Exception):
                    write_report(out, registry=registry)
            raise
    if result.outcome != "finished":
        report = write_report(out, registry=registry)
        note(f"stopped at step {result.step:,} of {result.steps:,}, after a checkpoint")
        note(f"report:  {report}")
        note(f"resume:  {resume_command(out, lock_of(RunFolder(out)))}")
        if as_json:
            print_json(_document(result, report, ()))
        return INTERRUPTED
    _measure_and_tell(result, recipe, out, registry=registry, as_json=as_json)
    return 0


def _measure_and_tell(
    result: RunResult, recipe: ResolvedRecipe, out: Path, *, registry: Registry, as_json: bool
) -> None:
    """Measure a finished run, write its report, and say what there is and what works next."""
    from facekit.cli.display import spoken_time
    from facekit.evaluation import evaluate_run
    from facekit.report import write_report
    from facekit.training.run.commands import generate_command, lock_of
    from facekit.training.run.folder import RunFolder

    evaluations: Sequence[EvaluationResult] = ()
    lock = lock_of(RunFolder(out))  # the run is done: whatever becomes of this file, its report is written
    if recipe.metrics:
        note("measuring on the test split, beside baselines that need no training")
        with evaluation_progress() as progress:
            evaluations = evaluate_run(out, registry=registry, baselines=True, progress=progress)
    report = write_report(out, registry=registry)
    if as_json:
        print_json(_document(result, report, evaluations))
        return
    if evaluations:
        print_measurements(evaluations)
        click.echo()
    click.echo(f"trained {result.step:,} steps in {spoken_time(result.seconds)}")
    click.echo(f"run:      {out}")
    click.echo(f"report:   {report}")
    example = generate_command(out, lock)
    if example is not None:
        click.echo(f"generate: {example}")


def _tell_memory(recipe: ResolvedRecipe, registry: Registry) -> None:
    """Print the estimated memory of a run before it starts; an estimate that fails stops no run."""
    from facekit.interfaces import FacekitError
    from facekit.interfaces.errors import spoken_bytes
    from facekit.training.check.shape_check import estimate_memory
    from facekit.training.memory import available_memory

    try:
        estimate = estimate_memory(recipe, registry=registry)
    except FacekitError as error:
        note(f"memory:  no estimate, since a step without numbers fails: {error}")
        return
    if estimate is None:
        note("memory:  no estimate, since a component looks at the numbers it computes with")
        return
    note(f"memory:  about {spoken_bytes(estimate.total)} at the peak")
    free = available_memory() if estimate.process else None
    if free is not None and estimate.total - estimate.process > free:
        note(
            f"warning: only {spoken_bytes(free)} are free, and the system may end the run; lower train.batch (with "
            "train.accumulate the update stays the same), or set train.activation_checkpointing"
        )


def _document(result: RunResult, report: Path, evaluations: Sequence[EvaluationResult]) -> dict[str, Any]:
    return {
        "run": str(result.run),
        "outcome": result.outcome,
        "step": result.step,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "report": str(report),
        "warnings": list(result.warnings),
        "evaluations": [evaluation.document() for evaluation in evaluations],
    }


def next_run_folder(name: str) -> Path:
    """Return the first free folder ``runs/NAME-1``, ``runs/NAME-2`` ... under the current folder."""
    stem = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "run"
    number = 1
    while (folder := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return folder
