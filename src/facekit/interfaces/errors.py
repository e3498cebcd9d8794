"""Errors that are meant for the person who uses facekit, and what a machine has no more of in words."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches

TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
"""Errors that mean that this process, or the machine, has too many files open; they are not about the file."""

_BYTES_ASKED = re.compile(r"tried to allocate (\d+) bytes")
"""In the error of torch's allocator, which is a RuntimeError like any other."""


class FacekitError(Exception):
    """A mistake a person can mend: the command line prints it without a traceback and exits with code 2.

    Args:
        message: what is wrong, in one sentence.
        where: the place it is wrong in: ``file:line:column``, a file, a recipe path or an image name.
        remedy: what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.remedy}" if self.remedy else text


class RunFailure(FacekitError):
    """A run that could not go on for a reason other than the user's mistake (a NaN loss, a full disk).

    What was on disk before stays as it was. The command line exits with code 1.
    """

    exit_code = 1


def nearest(word: str, candidates: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """Return the ``most`` candidates that look like ``word``, nearest first; empty when nothing is near."""
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(candidate.casefold(), candidate)
    near = get_close_matches(word.casefold(), list(folded), n=most, cutoff=0.55)
    return tuple(folded[name] for name in near)


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return ``did you mean 'x'?`` for a word that is near one of the candidates, else None."""
    near = nearest(word, candidates)
    return "did you mean " + " or ".join(repr(name) for name in near) + "?" if near else None


def spoken_bytes(count: float) -> str:
    """Return a size in words: ``3.72 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 999.5:  # from there on three digits would read 1e+03
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB" if count < 999.5 else f"{count:,.0f} GiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory could not be allocated: from Python, NumPy, torch or the system."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and _BYTES_ASKED.search(str(error)) is not None


def memory_asked(error: BaseException) -> str:
    """Return the size that an out-of-memory error mentions: ``33,528 GiB were asked for at once``."""
    if found := _BYTES_ASKED.search(str(error)):
        return f"{spoken_bytes(int(found[1]))} were asked for at once"
    said = str(error).strip().rstrip(".")
    return said[:1].lower() + said[1:] if said else "it does not say how much"
