"""Examining plugins, each in a process of its own, so that whatever one of them does hurts nothing and has a name."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import NamedTuple

import facekit
from facekit.registry.discovery import PluginOrigin
from facekit.registry.spec import Kind

TIME_LIMIT = 30.0
"""Seconds that a plugin may take to be loaded, to answer its hooks, and to let the process end."""

ENDING = "letting the process end"
"""What a plugin fails in whose threads or exit handlers do not come to an end."""

_GRACE = 15.0
"""Seconds beyond the time limit after which a process is ended that does not keep its own time."""

_POLL = 0.02
_MOST_PROCESSES = 4
_MOST_FRAMES = 5

_START = "import sys; sys.path[:] = sys.argv.pop(1).splitlines(); from facekit.doctor.probe_worker import main; main()"
"""The program of such a process: `sys` is built in, so nothing is imported before the path is this process's."""

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
_OWN_FOLDER = str(Path(facekit.__file__).parent)


class Failure(NamedTuple):
    """What a plugin was doing when it failed, and the error, in one sentence or as an exception.

    The traceback is from the plugin's own first line on; empty where there is none. One that ``ends_facekit`` ends or
    stops the whole process, so that no command that loads plugins works.
    """

    stage: str
    error: str
    traceback: str = ""
    ends_facekit: bool = False


class ExaminedComponent(NamedTuple):
    """A component that a plugin offers; ``problem`` says what of it is not there."""

    kind: Kind
    id: str
    problem: str | None


class RefusedComponent(NamedTuple):
    """A component that is written for another version of the interfaces."""

    kind: Kind
    id: str
    message: str
    remedy: str


class ExaminedCommand(NamedTuple):
    """A command that a plugin adds; ``problem`` says why it cannot be called."""

    name: str
    problem: str | None


@dataclass(frozen=True)
class Examination:
    """What one plugin did.

    Args:
        origin: the plugin.
        failures: what it failed in.
        finished: all its hooks were called, whatever they gave; otherwise what follows is empty.
        seconds: how long loading it and calling its hooks took.
        components: those that can be used.
        refused: those that cannot.
        label_maps: the names of its label maps.
        commands: the commands it adds.
        recipes: the files of its recipes.
        torch_at: what it was doing when it imported torch; None where it did not.
        printed: what it printed to stdout.
    """

    origin: PluginOrigin
    failures: tuple[Failure, ...]
    finished: bool = False
    seconds: float | None = None
    components: tuple[ExaminedComponent, ...] = ()
    refused: tuple[RefusedComponent, ...] = ()
    label_maps: tuple[str, ...] = ()
    commands: tuple[ExaminedCommand, ...] = ()
    recipes: tuple[Path, ...] = ()
    torch_at: str | None = None
    printed: str = ""


def examine(origins: Sequence[PluginOrigin], *, time_limit: float = TIME_LIMIT) -> list[Examination]:
    """Examine plugins in their order, a few at a time, with a limit in seconds for each."""
    stopped = Event()
    workers = max(1, min(_MOST_PROCESSES, os.cpu_count() or 1, len(origins)))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            return list(pool.map(partial(_examine, time_limit=time_limit, stopped=stopped), origins))
        except BaseException:  # Ctrl-C: the processes are in sessions of their own, so they do not hear of it
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def _examine(origin: PluginOrigin, *, time_limit: float, stopped: Event) -> Examination:
    with tempfile.TemporaryDirectory(prefix="facekit-doctor-") as name:
        folder = Path(name)
        job = {
            "report": str(folder / "report"),
            "trace": str(folder / "trace"),
            "time_limit": time_limit,
            "origin": (origin.name, origin.distribution, origin.version, origin.target),
            "file": None if origin.file is None else str(origin.file),
        }
        # Only what can stand in an argument: entries of the path are folders and archives.
        path = "\n".join(entry for entry in sys.path if isinstance(entry, str) and "\n" not in entry)
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, path, json.dumps(job)],
                stdin=subprocess.DEVNULL,  # a plugin that asks a question gets no answer
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        deadline = time.monotonic() + time_limit + _GRACE
        late = False
        try:
            while not late and process.poll() is None:
                late = stopped.is_set() or time.monotonic() > deadline
                if _text(folder / "trace").startswith("Timeout ("):
                    late = True
                    time.sleep(10 * _POLL)  # it is still writing where it is
                time.sleep(_POLL)
        finally:
            if process.poll() is None:  # end it, and the processes that it started
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
                process.wait()
        return _read(origin, folder, process.returncode, late, time_limit)


def _read(origin: PluginOrigin, folder: Path, code: int, late: bool, time_limit: float) -> Examination:
    """Make an examination of what a process left."""
    stage = found = None
    for line in _text(folder / "report").splitlines():
        with suppress(ValueError):  # the process ended while it wrote
            event = json.loads(line)
            stage, found = event.get("stage", stage), event.get("found", found)
    printed, complained = (_text(folder / name).strip() for name in ("stdout", "stderr"))
    failures = [Failure(stage, error, own_part(trace)) for stage, error, trace in (found["failures"] if found else ())]
    if stage is None:
        # The plugin had not begun: this is no fault of its own.
        raise RuntimeError(f"the process that examines {origin} did not start (exit code {code}):\n{complained}")
    if found is None or late or code != 0:
        how = _death(code, time_limit if late else None)
        frames = [
            f'  File "{frame["file"]}", line {frame["line"]}, in {frame["name"]}'
            for frame in _FRAME.finditer(_text(folder / "trace"))
            if not _is_machinery(frame["file"])
        ]
        where = "\n".join(["Where it was, innermost first:", *frames[:_MOST_FRAMES]]) if frames else ""
        failures.append(Failure(stage if found is None else ENDING, how, where, ends_facekit=True))
    if found is None:
        return Examination(origin, tuple(failures), printed=printed)
    return Examination(
        origin,
        tuple(failures),
        finished=True,
        seconds=found["seconds"],
        components=tuple(ExaminedComponent(*one) for one in found["components"]),
        refused=tuple(RefusedComponent(*one) for one in found["refused"]),
        label_maps=tuple(found["label_maps"]),
        commands=tuple(ExaminedCommand(*one) for one in found["commands"]),
        recipes=tuple(Path(path) for path in found["recipes"]),
        torch_at=found["torch_at"],
        printed="\n".join(part for part in (found["printed"].strip(), printed) if part),
    )


def _death(code: int, time_limit: float | None) -> str:
    """Return how a process ended that did not end well; ``time_limit`` is that of one that was late."""
    if time_limit is not None:
        return f"it had not come back after {time_limit:g} s"
    if code >= 0:
        return f"it ended the whole process with exit code {code}"
    name = f"signal {-code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
    meaning = {"SIGSEGV": ", a crash in compiled code", "SIGKILL": ", perhaps for using too much memory"}
    return f"the whole process was ended by {name}{meaning.get(name, '')}"


def own_part(trace: str) -> str:
    """Return a traceback without the lines above the plugin's own, which are facekit's and the import system's."""
    head, *frames = re.split(r'^(?=  File ")', trace, flags=re.MULTILINE)
    while frames and (found := re.match(r'  File "(.+?)"', frames[0])) and _is_machinery(found.group(1)):
        if len(frames) == 1:  # the exception itself stands behind the last frame
            return "\n".join(line for line in frames[0].splitlines() if not line.startswith("  "))
        del frames[0]
    return (head + "".join(frames)).rstrip()


def _is_machinery(file: str) -> bool:
    parts = Path(file).parts
    return file.startswith(("<frozen", _OWN_FOLDER, "<string>")) or any(
        part in parts for part in ("importlib", "pluggy", "threading.py")
    )


def _text(file: Path) -> str:
    with suppress(FileNotFoundError), file.open("rb") as stream:
        return stream.read(2**20).decode("utf-8", "replace")
    return ""
