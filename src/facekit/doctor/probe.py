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

ComponentKey = tuple[Kind, str]
"""Kind and id of a component; in a recipe, kind and the name it uses."""

_POLL = 0.02
_MOST_PROCESSES = 4
_MOST_FRAMES = 5

_START = "import sys; sys.path[:] = sys.argv.pop(1).splitlines(); from facekit.doctor.probe_worker import main; main()"
"""The program of such a process: `sys` is built in, so nothing is imported before the path is this process's."""

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
_OWN_FOLDER = str(Path(facekit.__file__).parent)


class Problem(NamedTuple):
    """Something that is wrong with a plugin.

    Args:
        stage: what the plugin was doing; empty where it did not come to that.
        what: what happened, in one sentence or as an exception.
        detail: a traceback from the plugin's own first line on, or what it printed.
        remedy: what to do, beside leaving the plugin out.
        is_clash: it comes from a name that others claim as well, which is no fault of the plugin's own.
    """

    stage: str
    what: str
    detail: str = ""
    remedy: str = ""
    is_clash: bool = False


@dataclass(frozen=True)
class Examination:
    """What one plugin did.

    Args:
        origin: the plugin.
        problems: what it failed in, and what of it is not there.
        ends_facekit: it ends or stops the whole process, so that no command that loads plugins works.
        finished: all its hooks were called, whatever they gave; otherwise what follows is empty.
        from_source: its components could not be asked for.
        seconds: how long loading it and calling its hooks took.
        components: those that it offers for this version of the interfaces.
        usable: those of them whose factories are there.
        refused: those for other versions.
        label_maps: the names of its label maps.
        commands: the names of the commands it adds.
        recipes: the files of its recipes.
    """

    origin: PluginOrigin
    problems: tuple[Problem, ...]
    ends_facekit: bool = False
    finished: bool = False
    from_source: bool = True
    seconds: float | None = None
    components: tuple[ComponentKey, ...] = ()
    usable: tuple[ComponentKey, ...] = ()
    refused: tuple[ComponentKey, ...] = ()
    label_maps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    recipes: tuple[Path, ...] = ()


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
    if stage is None:
        # The plugin had not begun: this is no fault of its own.
        raise RuntimeError(f"the process that examines {origin} did not start (exit code {code}):\n{complained}")
    problems = [Problem(one[0], one[1], own_part(one[2]), one[3]) for one in (found["problems"] if found else ())]
    if ends_facekit := found is None or late or code != 0:
        frames = [
            f'  File "{frame["file"]}", line {frame["line"]}, in {frame["name"]}'
            for frame in _FRAME.finditer(_text(folder / "trace"))
            if not _is_machinery(frame["file"])
        ]
        where = "\n".join(["Where it was, innermost first:", *frames[:_MOST_FRAMES]]) if frames else ""
        problems.append(Problem(stage if found is None else ENDING, _death(code, time_limit if late else None), where))
    printed = "\n".join(part for part in (found["printed"].strip() if found else "", printed) if part)
    if printed:
        problems.append(Problem("", "it prints while it is loaded, at every command", printed))
    if found is None:
        return Examination(origin, tuple(problems), ends_facekit)
    keys = {name: tuple((kind, id_) for kind, id_ in found[name]) for name in ("components", "usable", "refused")}
    return Examination(
        origin,
        tuple(problems),
        ends_facekit,
        finished=True,
        from_source=found["from_source"],
        seconds=found["seconds"],
        label_maps=tuple(found["label_maps"]),
        commands=tuple(found["commands"]),
        recipes=tuple(Path(path) for path in found["recipes"]),
        **keys,
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
