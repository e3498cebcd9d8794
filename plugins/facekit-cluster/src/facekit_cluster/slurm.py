"""Runs of a grid as jobs of SLURM, by submitit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.interfaces import STOPPED, ExecutorContext, ExecutorTask, FacekitError, RunFailure
from facekit_cluster.options import SlurmOptions
from facekit_cluster.remote import RemoteCommand, append_line

if TYPE_CHECKING:
    import submitit


class RequeuedCommand(RemoteCommand):
    """A command that goes on in a new job when its own is preempted or runs out of time."""

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Stop the command, which saves a checkpoint, and return what the new job calls: submitit's own protocol."""
        import submitit

        self.stop()
        return submitit.helpers.DelayedSubmission(self)


class SlurmJobs:
    """Submits tasks to SLURM.

    Args:
        options: what jobs ask for.
        folder: where submitit keeps its files.
    """

    def __init__(self, options: SlurmOptions, folder: Path) -> None:
        import submitit

        self.slots = options.workers
        self._threads = options.threads
        self._executor = submitit.AutoExecutor(folder=folder.absolute(), cluster=options.cluster)
        self._executor.update_parameters(
            timeout_min=max(1, round(60 * options.hours)),
            gpus_per_node=options.gpus,
            cpus_per_task=options.threads,
            **({} if options.memory_gb is None else {"mem_gb": options.memory_gb}),
        )
        if options.cluster == "slurm":
            asked = {"partition": options.partition, "account": options.account, "qos": options.qos}
            given: dict[str, Any] = {f"slurm_{name}": value for name, value in asked.items() if value is not None}
            self._executor.update_parameters(**given, slurm_setup=list(options.setup))

    def submit(self, task: ExecutorTask) -> SlurmJob:
        """Submit a job. Raises RunFailure when SLURM refuses it."""
        from submitit.core.utils import FailedJobError

        self._executor.update_parameters(name=task.name)
        command = RequeuedCommand(task, threads=self._threads, folder=Path.cwd())
        try:
            return SlurmJob(self._executor.submit(command), task.log)
        except (FailedJobError, OSError) as error:
            raise RunFailure(f"SLURM refuses the job: {error}", where=task.name) from error


class SlurmJob:
    """A job that was submitted."""

    def __init__(self, job: submitit.Job[int], log: Path) -> None:
        self._job = job
        self._log = log
        self._cancelled = False

    def poll(self) -> int | None:
        """Return the exit code of the command, None while the job waits or goes on."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return int(self._job.result()) if self._job.done() else None
        except (FailedJobError, UncompletedJobError) as error:
            if self._cancelled:
                return STOPPED
            append_line(self._log, f"the job {self._job.job_id} ended without a result: {error}")
            return 1

    def cancel(self, *, at_once: bool = False) -> None:
        """Cancel the job: SLURM sends SIGTERM, waits, and kills what is left."""
        self._cancelled = True
        self._job.cancel(check=False)


def build_slurm(options: SlurmOptions, context: ExecutorContext) -> SlurmJobs:
    """Return the executor.

    Raises:
        FacekitError: submitit is missing, or this machine has no SLURM.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise FacekitError(
            "the executor slurm needs submitit",
            where="--executor slurm",
            remedy='`pip install "facekit-cluster[slurm]"`',
        ) from error
    try:
        return SlurmJobs(options, context.folder)
    except RuntimeError as error:  # what submitit raises where the commands of SLURM are missing
        raise FacekitError(
            f"this machine cannot submit jobs: {error}",
            where="--executor slurm",
            remedy="call it on a login node of the cluster, or try it out with --set executor.cluster=local",
        ) from error
