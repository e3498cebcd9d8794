"""Executors: the choice of one on the command line; ``local``, which starts processes on this machine. Torch-free."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from facekit.interfaces import Executor, ExecutorContext, ExecutorTask, FacekitError, RunFailure
from facekit.recipe.merging import read_overrides
from facekit.recipe.nodes import MapNode, describe
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.settings_check import check_settings
from facekit.registry import Registry
from facekit.registry.built_in import LocalExecutorOptions

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class ChosenExecutor:
    """An executor by name with options, which are checked at once; it is built when the first run is left to do.

    Args:
        name: its id or short name.
        overrides: its options, as ``--set`` has them: ``executor.workers=2``.

    Raises:
        FacekitError: no plugin offers it.
        RecipeError: the options have mistakes.
    """

    def __init__(self, name: str, overrides: Sequence[str], *, registry: Registry) -> None:
        self.spec = registry.find("executor", name).spec
        problems = Problems()
        root = read_overrides(overrides, problems=problems)
        options = MapNode({}, Mark(f"--executor {name}", 0, 0, "")) if root is None else root.entries["executor"].node
        checked = None
        if isinstance(options, MapNode):
            checked = check_settings(
                self.spec.options,
                options.entries,
                path=("executor",),
                mark=options.mark,
                problems=problems,
                in_recipe=False,
            )
        else:
            problems.add(f"expected options, found {describe(options)}", options.mark, ("executor",))
        problems.raise_if_any()
        assert checked is not None  # what is None has left a problem
        self.options = checked

    def build(self, folder: Path) -> Executor:
        """Return the executor.

        Args:
            folder: where it may keep files of its own.

        Raises:
            FacekitError: a library is missing, or this machine has not what the options ask for.
        """
        executor: Executor = self.spec.build(self.options, ExecutorContext(folder))
        return executor


def build_local(options: LocalExecutorOptions, context: ExecutorContext) -> LocalProcesses:
    """Return the executor of this machine: the factory of ``local``."""
    visible = os.environ.get(_VISIBLE)
    if visible is None:
        import torch

        visible = ",".join(map(str, range(torch.cuda.device_count())))
    gpus = tuple(filter(None, (name.strip() for name in visible.split(","))))
    room = len(gpus) * options.per_gpu
    workers = options.workers or max(1, room)
    if gpus and workers > room:
        raise FacekitError(
            f"{workers} runs at the same time are more than {len(gpus)} GPUs take at {options.per_gpu} each",
            where="--workers",
            remedy=f"--per-gpu {-(-workers // len(gpus))} puts more of them on one; {_VISIBLE}= uses none",
        )
    return LocalProcesses(workers=workers, threads=options.threads, gpus=gpus)


class LocalProcesses:
    """Starts tasks as processes on this machine, each on one of the GPUs.

    Args:
        threads: computing threads of each; by default the machine's cores are shared among them.
        gpus: the GPUs, as ``CUDA_VISIBLE_DEVICES`` names them; a task gets that with the fewest.
    """

    def __init__(self, *, workers: int = 1, threads: int | None = None, gpus: tuple[str, ...] = ()) -> None:
        self.slots = workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = threads or max(1, cores // workers)
        self._gpus = gpus
        self._processes: list[_Process] = []

    def submit(self, task: ExecutorTask) -> _Process:
        """Start a task in a session of its own, so that Ctrl-C reaches this process alone."""
        self._processes = [process for process in self._processes if process.poll() is None]
        taken = [process.gpu for process in self._processes]
        gpu = min(self._gpus, key=taken.count) if self._gpus else None
        visible = {} if gpu is None else {_VISIBLE: gpu}
        try:
            process = task.start(threads=self._threads, environment=visible, own_session=True)
        except OSError as error:
            raise RunFailure(f"a process cannot be started: {error}", where=task.name) from error
        self._processes.append(_Process(process, gpu))
        return self._processes[-1]


class _Process:
    def __init__(self, process: subprocess.Popen[bytes], gpu: str | None) -> None:
        self.gpu = gpu
        self._process = process

    def poll(self) -> int | None:
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def cancel(self, *, at_once: bool = False) -> None:
        if self._process.poll() is not None:
            return
        if at_once:
            self._process.kill()
            self._process.wait()
        else:
            self._process.terminate()
