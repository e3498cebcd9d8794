"""Runs of a grid as tasks of Ray, on any node of a cluster that sees the same files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.interfaces import STOPPED, ExecutorContext, ExecutorTask, FacekitError
from facekit_cluster.options import RayOptions
from facekit_cluster.remote import RemoteCommand, append_line

if TYPE_CHECKING:
    import ray


class RayTasks:
    """Hands tasks to Ray, whose scheduler places them, and starts them again when their node dies.

    Args:
        options: what tasks ask for.
    """

    def __init__(self, options: RayOptions) -> None:
        import ray

        if not ray.is_initialized():
            ray.init(address=options.address, log_to_driver=False)
        self.slots = options.workers
        self._threads = options.threads
        gpus = options.gpus
        if gpus is None:
            gpus = 1 / options.per_gpu if ray.cluster_resources().get("GPU") else 0
        self._run = ray.remote(num_cpus=options.threads, num_gpus=gpus, max_retries=options.retries)(_run)

    def submit(self, task: ExecutorTask) -> RayTask:
        """Submit a task; it waits until a node has room for it."""
        command = RemoteCommand(task, threads=self._threads, folder=Path.cwd())
        return RayTask(self._run.options(name=task.name).remote(command), task.log)


class RayTask:
    """A task that was submitted."""

    def __init__(self, result: ray.ObjectRef[int], log: Path) -> None:
        self._result = result
        self._log = log
        self._cancelled = False

    def poll(self) -> int | None:
        """Return the exit code of the command, None while the task waits or goes on."""
        import ray

        ready, _ = ray.wait([self._result], timeout=0)
        if not ready:
            return None
        try:
            return int(ray.get(self._result))
        except ray.exceptions.RayError as error:
            if self._cancelled:
                return STOPPED
            append_line(self._log, f"Ray could not run the task: {error}")
            return 1

    def cancel(self, *, at_once: bool = False) -> None:
        """Interrupt the task, which passes it on to the command; or kill it."""
        import ray

        self._cancelled = True
        ray.cancel(self._result, force=at_once)


def _run(command: RemoteCommand) -> int:
    return command()


def build_ray(options: RayOptions, context: ExecutorContext) -> RayTasks:
    """Return the executor.

    Raises:
        FacekitError: Ray is missing, or there is no cluster at the address.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise FacekitError(
            "the executor ray needs Ray", where="--executor ray", remedy='`pip install "facekit-cluster[ray]"`'
        ) from error
    try:
        return RayTasks(options)
    except ConnectionError as error:
        raise FacekitError(
            f"there is no Ray cluster: {error}",
            where="--executor ray",
            remedy="`ray start --head` starts one; --set executor.address names another",
        ) from error
