"""The run folder: the one place that knows the names of its files, and who owns it.

::

    RUN/
      recipe.yaml        the resolved recipe, every default written out
      lock.json          versions, device, data fingerprint, label map, seed, command, parameters, a checksum
      metrics.jsonl      what happened, one JSON object a line, each with a checksum
      metrics.damaged.jsonl  lines that a resumed run set aside, where there were any
      checkpoints/       step-00000500/ and so on
      frozen/            weights of frozen networks, written once
      samples/           step-00000500.png and so on
      evaluations/       what was measured, one value a photo, and some of the pictures
      edits/             what edits were measured to show, and some of the pictures
      report.html
      owner.json         which process owns the folder (locked while it does)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.errors import TOO_MANY_FILES
from facekit.interfaces.files import read_regular

RECIPE = "recipe.yaml"
LOCK = "lock.json"
METRICS = "metrics.jsonl"
DAMAGED_METRICS = "metrics.damaged.jsonl"
CHECKPOINTS = "checkpoints"
FROZEN = "frozen"
SAMPLES = "samples"
EVALUATIONS = "evaluations"
MANIFEST = "manifest.json"
REPORT = "report.html"
OWNER = "owner.json"

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the operating system that mean there is no room for what was to be written."""

NOT_ALLOWED = (errno.EACCES, errno.EPERM)
"""Errors that mean that this user may not read or write a file, which says nothing of what it holds."""


RECIPE_HASH, LOCK_HASH = "recipe_sha256", "sha256"
"""Keys of ``lock.json``: the SHA-256 of ``recipe.yaml`` as the run wrote it, and of all other entries of the lock.

Evaluations have the second of them too.
"""

DAMAGED_LOCK = "put the file back as the run wrote it"
"""What to do about a ``lock.json`` that cannot be read."""

_TYPES: Mapping[str, tuple[type, type | None, str]] = {
    "label_map": (dict, None, "a label map"),
    "attribute_names": (list, str, "a list of names"),
    "data_fingerprint": (str, None, "text"),
    "plugin_files": (list, str, "a list of files"),
    "frozen": (dict, None, "SHA-256 by the names of networks"),
}
"""The type of an entry that the run is used or continued by, that of what is in its list, and what to call it."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"step-(\d{8,})")


def step_name(step: int) -> str:
    """Return the name of everything that belongs to a step: ``step-00000500``."""
    return f"step-{step:08d}"


def steps_on_disk(checkpoints: Path) -> list[int]:
    """Return the steps that have a checkpoint, rising; damaged ones too.

    Raises:
        FacekitError: the folder of checkpoints cannot be read.
    """
    try:
        entries = [entry for entry in checkpoints.iterdir() if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno in TOO_MANY_FILES:
            raise
        raise FacekitError(
            f"the checkpoints cannot be read: {error.strerror or error}",
            where=str(checkpoints),
            remedy="see that you may read the folder, and that its disk is there",
        ) from error
    matches = (_CHECKPOINT.fullmatch(entry.name) for entry in entries)
    return sorted(int(match.group(1)) for match in matches if match)


class RunFolder:
    """The files of a run.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.recipe = self.path / RECIPE
        self.lock = self.path / LOCK
        self.metrics = self.path / METRICS
        self.damaged_metrics = self.path / DAMAGED_METRICS
        self.checkpoints = self.path / CHECKPOINTS
        self.samples = self.path / SAMPLES
        self.evaluations = self.path / EVALUATIONS
        self.report = self.path / REPORT
        self.owner = self.path / OWNER

    @property
    def holds_a_run(self) -> bool:
        """Whether a run was started here: its recipe is written once everything before it stands."""
        return self.recipe.is_file()

    def sample(self, step: int) -> Path:
        """Return the file of a step's sample grid."""
        return self.samples / f"{step_name(step)}.png"

    def frozen(self, name: str) -> Path:
        """Return the file of a frozen network's weights."""
        return self.path / FROZEN / f"{name}.safetensors"

    def bad_batch(self, step: int) -> Path:
        """Return the file that keeps the batch of a step whose loss was not finite."""
        return self.path / f"bad-batch-{step:08d}.safetensors"

    def read_lock(self) -> dict[str, Any]:
        """Return ``lock.json``, without its checksum. Locks of older versions have none.

        Raises:
            FacekitError: there is none, it cannot be read, or its checksum shows that it was changed.
        """
        try:
            document = json.loads(read_regular(self.lock))
        except FileNotFoundError:
            raise FacekitError("this is not a run folder: it has no lock.json", where=str(self.path)) from None
        except (OSError, ValueError, RecursionError) as error:
            raise FacekitError(f"lock.json cannot be read ({error})", where=str(self.lock)) from error
        if not isinstance(document, dict):
            raise FacekitError("lock.json cannot be read (it is no mapping)", where=str(self.lock))
        if not seal_is_sound(document):
            raise FacekitError(
                "lock.json is not what the run wrote: its entries and its checksum differ", where=str(self.lock)
            )
        document.pop(LOCK_HASH, None)
        for key, (kind, of, name) in _TYPES.items():
            right = isinstance(document.get(key), kind)
            right = right and (of is None or all(isinstance(each, of) for each in document[key]))
            if key in document and not right:
                message = f"lock.json cannot be read ({key} is not {name})"
                raise FacekitError(message, where=str(self.lock), remedy=DAMAGED_LOCK)
        return document

    def write_lock(self, document: Mapping[str, Any]) -> None:
        """Write ``lock.json`` with its checksum."""
        write_json(self.lock, sealed(document))

    @contextmanager
    def owned(self, *, leads: bool = True) -> Iterator[list[str]]:
        """Own the folder while the context lasts; it is made when it does not exist.

        The lock belongs to the process and vanishes with it, however it ends, so there are no stale locks. It gives
        warnings: where the file system knows no locks, a process is kept out by its name in ``owner.json`` alone.

        Args:
            leads: whether this is the process that owns, of those that train together.

        Raises:
            FacekitError: another process owns it; the message names that process and its host; or the path is no
                UTF-8.
            RunFailure: the folder cannot be made or written to.
        """
        if not leads:
            yield []
            return
        try:
            str(self.path.absolute()).encode()
        except UnicodeEncodeError as error:
            problem = "the path of a run folder is UTF-8: safetensors opens no weights under another"
            raise FacekitError(problem, where=str(self.path), remedy="give another folder: --out FOLDER") from error
        with ExitStack() as held:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                # The folder is locked first: its lock holds when somebody removes owner.json, which names the owner.
                folder = os.open(self.path, os.O_RDONLY)
                held.callback(os.close, folder)
                self._lock(folder)
                # Opened for update, never truncated: until the lock is ours the contents are the owner's.
                descriptor = os.open(self.owner, os.O_RDWR | os.O_CREAT, 0o644)
                held.callback(os.close, descriptor)
                why_not = self._lock(descriptor)
                if why_not is not None and self._owner_lives():
                    raise self._owned_by_another()
                owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": round(time.time(), 3)}
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(owner).encode(), 0)
            except OSError as error:
                raise RunFailure(f"the run folder cannot be written to: {error}", where=str(self.path)) from error
            told = f"the file system of {self.path} cannot lock files, so nothing keeps processes of other machines out"
            yield [] if why_not is None else [f"{told} ({why_not.strerror}): see that one at a time uses it"]

    def _lock(self, descriptor: int) -> OSError | None:
        """Lock a file or the folder for this process; return why its file system cannot."""
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise self._owned_by_another() from None
            return error
        return None

    def _owned_by_another(self) -> FacekitError:
        name, owner = "another process", self._owner()
        if owner is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner[2]))
            name = f"process {owner[0]} on {owner[1]} (since {since})"
        return FacekitError(
            f"{name} owns this run folder",
            where=str(self.path),
            remedy="wait for it to end, stop it, or give another folder with --out",
        )

    def _owner_lives(self) -> bool:
        """Return whether the process that ``owner.json`` names is another one of this machine that goes on."""
        owner = self._owner()
        if owner is None or owner[1] != socket.gethostname() or owner[0] == os.getpid():
            return False
        try:
            os.kill(owner[0], 0)
        except (OSError, OverflowError) as error:
            return isinstance(error, PermissionError)  # it is of another user
        return True

    def _owner(self) -> tuple[int, str, float] | None:
        """Return process, machine and time of ``owner.json``; None where the owner has not written it yet."""
        try:
            owner = json.loads(self.owner.read_text(encoding="utf-8"))
            return int(owner["pid"]), str(owner["host"]), float(owner["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


@contextmanager
def folder_errors(run: RunFolder) -> Iterator[None]:
    """Turn the system's errors about the files of a run into sentences; others pass.

    Raises:
        RunFailure: the run folder was removed, or a file in it cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if not run.path.is_dir():
            raise folder_removed(run.path) from error
        file = error.filename if isinstance(error.filename, str) else os.fspath(error.filename or "")
        if error.errno in TOO_MANY_FILES or not file or not Path(file).absolute().is_relative_to(run.path.absolute()):
            raise
        raise RunFailure(
            f"this file of the run cannot be read or written: {error.strerror or error}",
            where=str(file),
            remedy="see that the run folder is whole and can be written to, then go on with `facekit resume RUN`; "
            "the checkpoints written before are intact",
        ) from error


def folder_removed(path: Path) -> RunFailure:
    """Return the failure of a run whose folder is gone."""
    return RunFailure(
        "the run folder was removed while the run was going on",
        where=str(path),
        remedy="put it back from a copy and go on with `facekit resume RUN`, or start the run again",
    )


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON data with its checksum as last entry."""
    entries = {name: value for name, value in document.items() if name != LOCK_HASH}
    return {**entries, LOCK_HASH: _hash_of(entries)}


def seal_is_sound(document: Mapping[str, Any]) -> bool:
    """Return whether JSON data fits the checksum that :func:`sealed` gave it; data of older versions has none."""
    checksum = document.get(LOCK_HASH)
    if checksum is not None:
        return checksum == _hash_of({name: value for name, value in document.items() if name != LOCK_HASH})
    # Locks with the hash of their recipe had one; and a last entry that is a SHA-256 had another name.
    return RECIPE_HASH not in document and not any(_SHA256.fullmatch(str(each)) for each in [*document.values()][-1:])


def _hash_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON data. Spaces and the order of keys do not count."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_file(file: Path, data: bytes) -> None:
    """Write a file beside its place and rename it there once it is safely on disk: it is never half written."""
    beside = file.with_name(f".{file.name}.new")
    write_through(beside, data)
    beside.replace(file)
    sync_folder(file.parent)


def write_through(file: Path, data: bytes) -> None:
    """Write a file and bring it to disk."""
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_json(file: Path, document: object) -> None:
    """Write a JSON file with :func:`write_file`."""
    write_file(file, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk, so that a rename outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def full_disk_stops(where: Path) -> Iterator[None]:
    """Turn "no space left" into a :class:`RunFailure` that says what stays as it was."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise disk_full(where) from error


def disk_full(where: Path) -> RunFailure:
    """Return the failure of a run whose disk is full."""
    return RunFailure(
        "the disk is full: the run stops here; the checkpoints written before are intact",
        where=str(where),
        remedy="make room, then go on with `facekit resume RUN`",
    )
