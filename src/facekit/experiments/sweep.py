"""The sweep: does what is left of a grid, a few runs at a time, and never again what is done. Torch-free."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facekit.experiments.jobs import AblationFolder, Cell, State, logged_step, read_failure, write_failure
from facekit.experiments.worker import Job
from facekit.interfaces import STOPPED, Executor, ExecutorTask, SubmittedTask
from facekit.recipe import dump_recipe
from facekit.training.interruption import Interruption
from facekit.training.run.folder import full_disk_stops

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""Seconds between looks at how far the runs are."""

_TAIL_LINES = 12

Phase = Literal["waiting", "working", "done", "failed", "stopped"]


@dataclass
class Work:
    """A cell that is to be done, and how far it is.

    Args:
        state: how far it was before.
        phase: where it stands now.
        began: when it was submitted, by the monotonic clock.
        first_step: updates that were done before that.
    """

    cell: Cell
    key: str
    state: State
    phase: Phase = "waiting"
    step: int = 0
    began: float = 0.0
    first_step: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is."""

    works: Sequence[Work]
    workers: int

    @property
    def steps_done(self) -> int:
        """Updates done in all of them, those of earlier sweeps included."""
        return sum(work.cell.steps if work.phase == "done" else work.step for work in self.works)

    @property
    def steps(self) -> int:
        """Updates in all of them."""
        return sum(work.cell.steps for work in self.works)

    def seconds_left(self, now: float) -> float | None:
        """Return an estimate of the time that is left; None before anything is known of the speed."""
        speeds: dict[str, float] = {}
        all_seconds, all_steps = 0.0, 0
        for work in self.works:
            done = work.step - work.first_step
            took = work.seconds if work.phase == "done" else now - work.began if work.phase == "working" else 0.0
            if done > 0 and took > 0:
                speeds[work.cell.row.name] = took / done
                all_seconds, all_steps = all_seconds + took, all_steps + done
        if not speeds:
            return None
        left = [
            (work.cell.steps - work.step) * speeds.get(work.cell.row.name, all_seconds / all_steps)
            for work in self.works
            if work.phase in ("waiting", "working")
        ]
        # No shorter than the longest of them, however many workers there are.
        return max(sum(left) / self.workers, max(left, default=0.0))


@dataclass
class SweepOutcome:
    """What came of a sweep.

    Args:
        interrupted: it was asked to stop; what was going on has saved a checkpoint.
    """

    works: list[Work] = field(default_factory=list)
    interrupted: bool = False

    def of(self, phase: Phase) -> list[Work]:
        """Return the cells that ended in a phase."""
        return [work for work in self.works if work.phase == phase]


def run_sweep(
    works: Sequence[Work],
    folder: AblationFolder,
    *,
    executor: Executor,
    command: Sequence[str],
    plugin_files: Sequence[Path] = (),
    watch: Callable[[SweepProgress], None] | None = None,
) -> SweepOutcome:
    """Do the cells that are left, as many at a time as the executor has slots.

    A cell that fails does not stop the others. Ctrl-C, or SIGTERM, asks every run to save a checkpoint and end, and
    waits for them; a second one ends them at once. Called again, each goes on from its newest checkpoint.

    Args:
        command: the program that does a job; the file of the job is appended.
        watch: told how far everything is, about once a second.
    """
    outcome = SweepOutcome(list(works))
    progress = SweepProgress(outcome.works, executor.slots)
    for work in works:
        work.step = work.first_step = work.state.step
    waiting = list(works)
    running: list[tuple[Work, SubmittedTask]] = []
    looked = 0.0
    with Interruption() as interruption:
        try:
            while (waiting and not interruption.asked) or running:
                while waiting and len(running) < executor.slots and not interruption.asked:
                    work = waiting.pop(0)
                    job = _write_job(work, folder, plugin_files)
                    work.phase, work.began = "working", time.monotonic()
                    task = ExecutorTask(work.cell.label, (*command, str(job)), folder.log(work.key).absolute())
                    running.append((work, executor.submit(task)))
                if interruption.asked and not outcome.interrupted:
                    outcome.interrupted = True
                    for _, submitted in running:
                        submitted.cancel()
                time.sleep(POLL_SECONDS)
                for work, submitted in list(running):
                    code = submitted.poll()
                    if code is not None:
                        running.remove((work, submitted))
                        _end(work, folder, code, asked=outcome.interrupted)
                if watch is not None and (time.monotonic() - looked > LOOK_SECONDS or not running):
                    looked = time.monotonic()
                    for work, _ in running:
                        if work.cell.row.baseline is None:
                            # Before the first line of a run that goes on, its checkpoint says how far it is.
                            work.step = max(work.first_step, logged_step(folder.run(work.cell, work.key)))
                    watch(progress)
        finally:
            # Only after a second Ctrl-C, or a defect: else nothing is running any more.
            for work, submitted in running:
                submitted.cancel(at_once=True)
                work.phase = "stopped"
    outcome.interrupted = outcome.interrupted or interruption.asked
    return outcome


def _write_job(work: Work, folder: AblationFolder, plugin_files: Sequence[Path]) -> Path:
    """Write what a process is to do, and the recipe; return the file. Raises RunFailure when the disk is full."""
    cell, key = work.cell, work.key
    todo = Job(
        recipe=folder.recipe(key).absolute(),
        folder=folder.run(cell, key).absolute(),
        failure=folder.failure(key).absolute(),
        baseline=cell.row.baseline,
        train=folder.trains,
        keep=cell.keep,
        measure=cell.measuring,
        plugin_files=tuple(file.absolute() for file in plugin_files),
    )
    job, recipe = folder.job(key).absolute(), folder.recipe(key)
    with full_disk_stops(job):
        job.parent.mkdir(parents=True, exist_ok=True)
        recipe.write_text(dump_recipe(cell.recipe), encoding="utf-8")
        job.write_text(todo.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return job


def _end(work: Work, folder: AblationFolder, code: int, *, asked: bool) -> None:
    work.seconds = time.monotonic() - work.began
    if folder.evaluation(work.cell, work.key).is_file():
        work.phase, work.step = "done", work.cell.steps
        return
    # Outside of training, where nothing is lost, a signal simply ends a process.
    if code == STOPPED or (asked and code == -signal.SIGTERM):
        work.phase = "stopped"
        return
    error = read_failure(folder.failure(work.key))
    if error is None:
        # It died without a word: killed, out of memory, or a crash below Python.
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        log = folder.log(work.key)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        tail = "\n".join(lines[-_TAIL_LINES:]) or "(it is empty)"
        error = f"the process ended with {how}; the end of its log:\n{tail}"
        write_failure(folder.failure(work.key), error)
    work.phase, work.error = "failed", error
