"""A lock that one process holds at a time and that the operating system lets go when the process dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facekit.interfaces import RunFailure

_POLL_SECONDS = 0.2


@contextmanager
def exclusive_lock(file: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a file's lock for the length of a ``with`` block; wait while another process holds it.

    The file is created when it is missing and is left behind: removing it would let two processes each lock a file of
    the same name.

    Args:
        file: the lock file; its folder exists.
        on_wait: called again and again (every 0.2 s) while another process holds the lock.

    Raises:
        RunFailure: the file cannot be opened, or its file system knows no locks.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunFailure(f"cannot open the lock file: {error.strerror}", where=str(file)) from error
    try:
        while not _try_lock(descriptor, file):
            if on_wait is not None:
                on_wait()
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)  # lets the lock go


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, file: Path) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise _no_locks(file, error) from error
        return True

else:
    import fcntl

    def _try_lock(descriptor: int, file: Path) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _no_locks(file, error) from error
        return True


def _no_locks(file: Path, error: OSError) -> RunFailure:
    return RunFailure(
        f"cannot lock the file: {error.strerror}",
        where=str(file),
        remedy="its file system may know no locks; choose a folder on a local disk (FACEKIT_CACHE or data.cache)",
    )
