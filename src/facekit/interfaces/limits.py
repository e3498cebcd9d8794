"""What a machine has no more of: memory and open files; and sizes in words."""

from __future__ import annotations

import errno
import re

TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
"""Errors that mean that this process, or the machine, has too many files open; they are not about the file."""

_BYTES_ASKED = re.compile(r"tried to allocate (\d+) bytes")
"""In the error of torch's allocator, which is a RuntimeError like any other."""


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
    found = _BYTES_ASKED.search(str(error))
    if found is not None:
        return f"{spoken_bytes(int(found[1]))} were asked for at once"
    said = str(error).strip().rstrip(".")
    return said[:1].lower() + said[1:] if said else "it does not say how much"
