"""What runs on the other machine: one command in a process, asked to stop when this one is."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from facekit.interfaces import ExecutorTask

POLL_SECONDS = 0.1


class RemoteCommand:
    """The command of a task, which any scheduler can hand over; called, it runs the command and returns the exit code.

    The command's standard input is a pipe of this process, so that it ends with this process, however that ends.

    Args:
        threads: computing threads.
        folder: where it runs.
    """

    def __init__(self, task: ExecutorTask, *, threads: int, folder: Path) -> None:
        self._task = task
        self._threads = threads
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run it. An interruption is passed on as SIGTERM, and waits for the command to save what it has."""
        self._process = self._task.start(threads=self._threads, folder=self._folder)
        try:
            # Not in a system call: Ray's interruptions are seen between lines of Python only.
            while (code := self._process.poll()) is None:
                time.sleep(POLL_SECONDS)
            return code
        finally:
            self.stop()

    def stop(self) -> None:
        """Ask the command to save what it has, and wait for its end."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            while self._process.poll() is None:
                time.sleep(POLL_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_process": None}


def append_line(log: Path, message: str) -> None:
    """Write a line of the scheduler's into the log of a task that it could not run."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{message}\n")
