"""A plugin for facekit in one file: an executor that starts the runs of a grid on other machines, by ssh.

facekit ablate GRID --executor ssh --set executor.hosts=[anna,berta] --plugin-file my_executor.py
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

from facekit.interfaces import STOPPED, ExecutorContext, ExecutorTask, Options
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class SshOptions(Options):
    """Options of the executor."""

    hosts: tuple[str, ...] = Field(min_length=1)
    """The machines: one run at a time on each. They see the same files, and log in without a password."""
    program: str = "ssh"
    """What logs in."""


SSH = ComponentSpec(
    interface_version=1,
    kind="executor",
    id="my_executor/ssh",
    summary="Starts runs on other machines by ssh.",
    options=SshOptions,
    factory="my_executor:build_executor",
    example={"hosts": ["anna", "berta"]},
)


class SshTask:
    """A command on another machine; see ``facekit.interfaces.SubmittedTask``."""

    def __init__(self, host: str, process: subprocess.Popen[bytes]) -> None:
        self.host = host
        self.cancelled = False
        self._process = process

    def poll(self) -> int | None:
        """Return the exit code of the command, None while it goes on."""
        code = self._process.poll()
        return STOPPED if self.cancelled and code is not None else code

    def cancel(self, *, at_once: bool = False) -> None:
        """End the connection: the command sees its standard input end, and saves a checkpoint."""
        self.cancelled = True
        self._process.kill()
        self._process.wait()


class Ssh:
    """Starts each command on a machine that is free; see ``facekit.interfaces.Executor``."""

    def __init__(self, options: SshOptions) -> None:
        self.slots = len(options.hosts)
        self._options = options
        self._tasks: list[SshTask] = []

    def submit(self, task: ExecutorTask) -> SshTask:
        """Start a command, in the folder where facekit was called."""
        busy = [each.host for each in self._tasks if each.poll() is None]
        host = next(host for host in self._options.hosts if host not in busy)
        there = f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(task.command)}"
        process = replace(task, command=(self._options.program, host, there)).start()
        self._tasks.append(SshTask(host, process))
        return self._tasks[-1]


def build_executor(options: SshOptions, context: ExecutorContext) -> Ssh:
    """Return the executor."""
    return Ssh(options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the executor."""
    return [SSH]
