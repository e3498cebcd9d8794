"""Executors: the choice of one, and processes on this machine: GPUs, the log, the end that was asked for."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from facekit.experiments.executor import ChosenExecutor, LocalProcesses, build_local
from facekit.interfaces import ExecutorContext, ExecutorTask, FacekitError, RunFailure, SubmittedTask
from facekit.recipe import RecipeError
from facekit.registry import PluginSet, Registry
from facekit.registry.built_in import LocalExecutorOptions

PRINT_GPU = "import os, sys; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS']); sys.exit(3)"
WAIT_FOR_END = "import sys; print('began', flush=True); sys.stdin.read(); print('ended', flush=True)"


def task(code: str, log: Path) -> ExecutorTask:
    return ExecutorTask("a task", (sys.executable, "-c", code), log)


def wait(submitted: SubmittedTask) -> int:
    """Return the exit code of a task, within a minute."""
    deadline = time.monotonic() + 60
    while (code := submitted.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return code


def wait_for(log: Path, word: str) -> None:
    """Wait until a task has printed something."""
    deadline = time.monotonic() + 60
    while word not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def bare() -> Registry:
    return Registry(PluginSet({"FACEKIT_NO_PLUGINS": "1"}))


def test_tasks_are_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-77")
    executor = build_local(LocalExecutorOptions(per_gpu=2, threads=1), ExecutorContext(tmp_path))
    assert executor.slots == 4
    logs = [tmp_path / "logs" / f"{number}.log" for number in range(3)]
    first, second, third = (executor.submit(task(WAIT_FOR_END, log)) for log in logs)
    assert [each.gpu for each in (first, second, third)] == ["4", "GPU-77", "4"]
    first.cancel(at_once=True)
    third.cancel(at_once=True)
    last = executor.submit(task(PRINT_GPU, tmp_path / "last.log"))
    assert wait(last) == 3
    assert (tmp_path / "last.log").read_text() == "4 1\n", "the GPU that has the fewest"
    second.cancel(at_once=True)
    assert wait(second) == -signal.SIGKILL


def test_without_gpus_one_task_runs_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert build_local(LocalExecutorOptions(), ExecutorContext(tmp_path)).slots == 1
    executor = build_local(LocalExecutorOptions(workers=3), ExecutorContext(tmp_path))
    assert executor.slots == 3
    assert wait(executor.submit(task(PRINT_GPU, tmp_path / "log"))) == 3
    assert (tmp_path / "log").read_text().startswith(" "), "the variable is handed on as it is"


def test_more_workers_than_the_gpus_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(FacekitError, match="5 runs at the same time are more than 2 GPUs take at 2 each") as raised:
        build_local(LocalExecutorOptions(workers=5, per_gpu=2), ExecutorContext(tmp_path))
    assert "--per-gpu 3" in str(raised.value)


def test_a_task_that_is_cancelled_gets_sigterm(tmp_path: Path) -> None:
    running = LocalProcesses().submit(task(WAIT_FOR_END, tmp_path / "log"))
    wait_for(tmp_path / "log", "began")
    assert running.poll() is None
    running.cancel()
    assert wait(running) == -signal.SIGTERM
    running.cancel(at_once=True)  # of a task that has ended: nothing


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="a process cannot be started"):
        LocalProcesses().submit(ExecutorTask("a task", (str(tmp_path / "nothing"),), tmp_path / "log"))


def test_options_are_checked_when_it_is_chosen(bare: Registry) -> None:
    chosen = ChosenExecutor("local", ["executor.workers=2", "executor.per_gpu=3"], registry=bare)
    assert chosen.options == LocalExecutorOptions(workers=2, per_gpu=3)
    assert ChosenExecutor("local", [], registry=bare).options == LocalExecutorOptions()
    with pytest.raises(RecipeError, match=r"--set executor.workers=0:1:\d+: executor.workers"):
        ChosenExecutor("local", ["executor.workers=0"], registry=bare)
    with pytest.raises(RecipeError, match="unknown key 'partition'"):
        ChosenExecutor("local", ["executor.partition=gpu"], registry=bare)
    with pytest.raises(RecipeError, match="expected options, found the number 3"):
        ChosenExecutor("local", ["executor=3"], registry=bare)


def test_an_executor_of_a_plugin_that_is_missing(bare: Registry) -> None:
    with pytest.raises(FacekitError, match="no executor is called 'slurm'") as raised:
        ChosenExecutor("slurm", [], registry=bare)
    assert "facekit-cluster" in str(raised.value)
