"""Where runs are done: the interface of executors, and the one that starts processes on this computer. Torch-free."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facekit.interfaces import RunFailure

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """What an executor is to do: one command in a process of its own, somewhere that sees the same files.

    Args:
        log: where what it prints is appended.
    """

    name: str
    command: tuple[str, ...]
    log: Path


class Running(Protocol):
    """A task that was started."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it goes on. Negative for one that a signal ended."""
        ...

    def stop(self) -> None:
        """Ask it to save what it has and end; it may take a while."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Executor(Protocol):
    """Starts tasks. What they come to is read from the files they write, so an executor moves no results."""

    @property
    def slots(self) -> int:
        """How many tasks may go on at the same time."""
        ...

    def start(self, task: Task) -> Running:
        """Start a task. Raises RunFailure when it cannot be started."""
        ...


class LocalProcesses:
    """Starts tasks as processes on this computer.

    The standard input of a process is a pipe that nothing is written to. It closes when this process ends, however it
    ends, and a task takes that as being asked to stop: nothing goes on behind the back of a sweep that was killed.

    Args:
        threads: computing threads of each; by default the computer's cores are shared among them.
    """

    def __init__(self, *, workers: int = 1, threads: int | None = None) -> None:
        if workers < 1 or (threads is not None and threads < 1):
            raise ValueError(f"at least one worker and one thread are needed, not {workers} and {threads}")
        self.slots = workers
        self.threads = threads or max(1, _cores() // workers)

    def start(self, task: Task) -> Running:
        """Start a task in a session of its own, so that Ctrl-C reaches this process alone."""
        environment: Mapping[str, str] = {**os.environ, **dict.fromkeys(_THREADS, str(self.threads))}
        try:
            task.log.parent.mkdir(parents=True, exist_ok=True)
            with task.log.open("ab") as log:
                process = subprocess.Popen(
                    task.command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise RunFailure(f"a process cannot be started: {error}", where=task.name) from error
        return _Process(process)


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> int | None:
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.poll()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
