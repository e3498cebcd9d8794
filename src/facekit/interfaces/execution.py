"""Where the runs of a grid are done: what an executor is. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess

STOPPED = 130
"""The exit code of a task that ended because it was asked to; called again, it goes on where it was."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class ExecutorContext:
    """What the factory of an executor is given beside its options.

    Args:
        folder: where it may keep files of its own; it need not exist yet.
    """

    folder: Path


@dataclass(frozen=True)
class ExecutorTask:
    """One command, to be run in a process of its own on a machine that sees the same files.

    Its standard input must be a pipe that nothing is written to: the process takes the end of the pipe as being asked
    to stop, so that nothing goes on behind the back of what started it. SIGTERM asks it to stop, too.

    Args:
        name: what to call it, for people.
        log: the file that what it prints is appended to.
    """

    name: str
    command: tuple[str, ...]
    log: Path

    def start(
        self,
        *,
        threads: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        folder: Path | None = None,
        own_session: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start the command on this machine, as it wants to be started: with the pipe and the log.

        Args:
            threads: computing threads; None for what it takes by itself.
            environment: variables over those of this process.
            folder: where it runs; here by default.
            own_session: keep the terminal's Ctrl-C from it.

        Raises:
            OSError: the log cannot be opened, or there is no such program.
        """
        import subprocess

        computing = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **computing, **environment},
                cwd=folder,
                start_new_session=own_session,
            )


class SubmittedTask(Protocol):
    """A task that was submitted."""

    def poll(self) -> int | None:
        """Return its exit code, None while it waits or goes on. Negative for a signal, :data:`STOPPED` if cancelled."""
        ...

    def cancel(self, *, at_once: bool = False) -> None:
        """Ask it to save what it has and end; it may take a while. With ``at_once``, end it now."""
        ...


class Executor(Protocol):
    """Submits tasks. What they come to is read from the files they write, so an executor moves no results."""

    @property
    def slots(self) -> int:
        """How many tasks may be submitted at the same time."""
        ...

    def submit(self, task: ExecutorTask) -> SubmittedTask:
        """Submit a task. Raises RunFailure when it cannot be submitted."""
        ...
