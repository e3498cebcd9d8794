"""Opening files that people name: a FIFO, a device or a socket would keep a program waiting for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading in bytes, whose length is known and which never makes the reader wait.

    Raises:
        OSError: it cannot be opened, or is a folder, a FIFO, a device or a socket.
        ValueError: the path holds a null character, or one that no file name can have.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - as `open`, it takes any path
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"this is {kind}, not a regular file", os.fspath(path))
    return Path(path).open("rb")


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return the contents of a file. Raises as :func:`open_regular`."""
    with open_regular(path) as stream:
        return stream.read()
