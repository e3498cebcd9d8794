"""What ``run`` and ``resume`` share: train under a display, measure, write the report, say what there is now."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.display import spoken_time, training_display
from facekit.cli.errors import INTERRUPTED
from facekit.cli.evaluation_settings import measure_run, print_measurements
from facekit.cli.output import note, print_json
from facekit.interfaces.limits import spoken_bytes

if TYPE_CHECKING:
    from facekit.evaluation import EvaluationResult
    from facekit.recipe import ResolvedRecipe
    from facekit.registry import Registry
    from facekit.training import RunResult


STEPS_WORTH_AN_ESTIMATE = 100
"""Runs of fewer steps begin at once: the estimate of their memory takes seconds."""


def train_and_measure(
    recipe: ResolvedRecipe,
    *,
    out: Path,
    registry: Registry,
    command: Sequence[str],
    resume: bool,
    as_json: bool,
) -> int:
    """Train, measure on the test split with the averaged weights, write the report; return the exit code.

    A run that is interrupted or fails gets a report of how far it came, and is not measured. Of several processes that
    train together (torchrun) only the first one prints, measures and reports.

    Raises:
        FacekitError: as :func:`facekit.training.train` and the metrics do.
    """
    from facekit.evaluation import check_metrics, validator
    from facekit.report import write_report
    from facekit.training import RunFolder, train
    from facekit.training.run.commands import generate_command, lock_of, resume_command

    check_metrics(recipe, registry=registry)
    measure = validator(recipe, registry=registry) if recipe.train.evaluate_every else None
    if not leads():
        train(recipe, out=out, registry=registry, resume=resume, command=shlex.join(command), evaluate=measure)
        return 0
    if (recipe.train.steps or STEPS_WORTH_AN_ESTIMATE) >= STEPS_WORTH_AN_ESTIMATE:
        _tell_memory(recipe, registry)
    images = recipe.train.batch * recipe.train.accumulate * process_count()
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
        except BaseException:
            # Not before the run began: the folder may hold another run, or belong to another process. The report says
            # how far the run came; whatever stops the report must not hide what stopped the run.
            if display.state.run:
                with suppress(Exception):
                    write_report(out)
            raise
    lock = lock_of(RunFolder(out))  # the run is done: whatever became of this file, its report is written
    if result.outcome != "finished":
        report = write_report(out)
        note(f"stopped at step {result.step:,} of {result.steps:,}, after a checkpoint")
        note(f"report:  {report}")
        note(f"resume:  {resume_command(out, lock)}")
        if as_json:
            print_json(_document(result, report, ()))
        return INTERRUPTED
    if recipe.metrics:
        note("measuring on the test split, beside baselines that need no training")
    evaluations = measure_run(out, registry=registry) if recipe.metrics else ()
    report = write_report(out)
    if as_json:
        print_json(_document(result, report, evaluations))
        return 0
    if evaluations:
        print_measurements(evaluations)
        click.echo()
    click.echo(f"trained {result.step:,} steps in {spoken_time(result.seconds)}")
    click.echo(f"run:      {out}")
    click.echo(f"report:   {report}")
    example = generate_command(out, lock)
    if example is not None:
        click.echo(f"generate: {example}")
    return 0


def _tell_memory(recipe: ResolvedRecipe, registry: Registry) -> None:
    """Say how much memory the run will take, before it takes it; an estimate that fails stops no run."""
    from facekit.interfaces import FacekitError
    from facekit.training import estimate_memory
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


def process_count() -> int:
    """Return how many processes train together; what torchrun set."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Return whether this is the first of the processes that train together."""
    return os.environ.get("RANK", "0") == "0"


def next_run_folder(name: str) -> Path:
    """Return the first free folder ``runs/NAME-1``, ``runs/NAME-2`` ... under the current folder."""
    stem = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "run"
    number = 1
    while (folder := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return folder
