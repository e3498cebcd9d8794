"""What a process of a sweep does: train or go on, measure, and write down what came of it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from facekit.evaluation.store import PICTURES, Asked, write_evaluation
from facekit.experiments.jobs import write_failure
from facekit.experiments.settings import Keep, MeasuringSettings
from facekit.interfaces import STOPPED, FacekitError, Options
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.run.folder import RunFolder
from facekit.training.run.reading import read_run, read_run_recipe

_PATIENCE = 180.0
"""Seconds to wait for an earlier process, which was asked to stop, to leave the run folder."""


class Job(Options):
    """What a process is to do. It is written to a file, so that any executor can hand it over."""

    recipe: Path
    """The recipe to train; for a baseline and for a run that is there, whose data and metrics count."""
    folder: Path
    """The run folder; for a baseline, the folder of its evaluations."""
    failure: Path
    """Where to write why it failed."""
    baseline: str | None = None
    """Measure this baseline, and train nothing."""
    train: bool = True
    """Train, or go on, before measuring."""
    keep: Keep = "checkpoints"
    """What is left of the run once it is measured."""
    measure: MeasuringSettings = MeasuringSettings()
    """How it is measured."""
    plugin_files: tuple[Path, ...] = ()
    """Plugins that are one file each."""


def do(job: Job, *, registry: Registry, command: str, report: Callable[[Path], object]) -> int:
    """Do a job; return the exit code: 0, or :data:`facekit.interfaces.STOPPED`.

    Args:
        command: how the same run is started by hand, for its record.

    Raises:
        FacekitError: it failed; the reason is written to ``job.failure`` as well, as is that of any other exception.
    """
    from facekit.evaluation import evaluate_baseline, evaluate_run

    job.failure.unlink(missing_ok=True)
    stop_when_alone()
    run, measure = RunFolder(job.folder), job.measure
    try:
        recipe = read_run_recipe(job.recipe, registry=registry)
        if job.baseline is not None:
            asked = Asked.of(recipe, split=measure.split, seed=measure.seed, limit=measure.limit)
            result = evaluate_baseline(job.baseline, recipe, registry=registry, asked=asked, batch=measure.batch)
            write_evaluation(result, asked.file(run.evaluations, step=0, weights=result.weights))
            return 0
        if job.train and not _train(job, recipe, registry, command):
            return STOPPED
        evaluate_run(job.folder, registry=registry, keep=PICTURES, metrics_of=recipe, **measure.model_dump())
        report(job.folder)
        if job.keep == "none":
            shutil.rmtree(run.checkpoints)
    except Exception as error:
        message = str(error) if isinstance(error, FacekitError) else f"{type(error).__name__}: {error}"
        write_failure(job.failure, message)
        raise
    return 0


def stop_when_alone() -> None:
    """Ask this process to stop, as Ctrl-C does, once its standard input closes: the sweep has ended then."""
    if sys.stdin is None or sys.stdin.isatty():
        return
    descriptor = sys.stdin.fileno()

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread that waits would hold when the interpreter ends.
        while os.read(descriptor, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="waits for the end of the sweep", daemon=True).start()


def _train(job: Job, recipe: ResolvedRecipe, registry: Registry, command: str) -> bool:
    """Train, or go on; return whether the run is finished."""
    from facekit.evaluation import check_metrics, validator
    from facekit.training.loop import train

    run = RunFolder(job.folder)
    _wait_until_free(run)
    resume = run.holds_a_run
    if resume:
        if read_run(run.path).outcome().word == "finished":
            if not run.checkpoints.is_dir():
                raise FacekitError(
                    "the checkpoints of this run were deleted once it was measured (`keep: none`), and now it is to be "
                    "measured otherwise",
                    where=str(run.path),
                    remedy="remove the folder, and it is trained again",
                )
            return True
        # The recipe that the run was started with: what the sweep may have changed since decides nothing.
        recipe = read_run_recipe(run.recipe, registry=registry)
    check_metrics(recipe, registry=registry)
    measure = validator(recipe, registry=registry) if recipe.train.evaluate_every else None
    result = train(recipe, out=job.folder, registry=registry, resume=resume, command=command, evaluate=measure)
    return result.outcome == "finished"


def _wait_until_free(run: RunFolder) -> None:
    """Wait while the process of a sweep that was killed saves its last checkpoint."""
    deadline = time.monotonic() + _PATIENCE
    while run.path.exists():
        try:
            with run.owned():
                return
        except FacekitError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
