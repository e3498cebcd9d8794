"""The large files of packed faces: an array on disk whose rows are compared with their checksums when first read.

Rows are read from an open file and not through a memory map: a file that is cut short, or a disk that fails, is then an
error with a sentence, where a page of a map that cannot be read would kill the process (SIGBUS).
"""

from __future__ import annotations

import errno
import hashlib
import os
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.errors import TOO_MANY_FILES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[Any] | slice | list[int]

VERIFIED = "verified.json"
"""Size and time of each large file when it was last compared as a whole."""

ROW_CHECKS = "row_checks.bin"
"""The CRC-32 of every row of every large file, uint32 each, one file after the other; the SHA-256 of all of it ends it.

One pass over a file gives both its SHA-256 and these. They let a run notice damage in what it reads without reading
more, and are no part of what the data is known by.
"""

_BLOCK = 1 << 22
_SHA256_BYTES = hashlib.sha256().digest_size


class DamagedCache(FacekitError):
    """A folder of packed faces that is incomplete, or whose contents are not what was written."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message, where=where, remedy="`facekit data prepare` builds it again; or remove the folder")


class PackedRows:
    """A read-only array (n, ...) in a file, from which rows are read when they are asked for.

    The file stays open as long as this exists, so what a run reads is still there when the folder is removed. Several
    threads may read at once.

    Args:
        file: the file: the rows end to end, little-endian.
        dtype: dtype of the elements.
        shape: shape of the whole, the rows first.
        checks: the CRC-32 of each row, (n,) uint32.

    Raises:
        DamagedCache: the file cannot be opened.
    """

    def __init__(
        self, file: Path, dtype: np.dtype[Any] | str, shape: tuple[int, ...], checks: NDArray[np.uint32]
    ) -> None:
        self.file = file
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
        self.shape = shape
        self._checks = checks
        self._compared = np.zeros(shape[0], dtype=bool)
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * self.dtype.itemsize
        with reading(file, "opened"):
            self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: int | np.integer[Any] | Rows) -> NDArray[Any]:
        """Return a row (...), read-only, or several (m, ...).

        Raises:
            DamagedCache: the file is shorter than it was, cannot be read, or a row is not what was written. The cache
                is then no longer counted as compared, so that the next call that opens it builds it again.
            IndexError: there is no such row.
        """
        if isinstance(rows, (int, np.integer)):
            return self._row(range(len(self))[int(rows)])
        wanted = np.arange(len(self))[rows]
        result = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        for place, row in enumerate(wanted.tolist()):
            result[place] = self._row(row)
        return result

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __reduce__(self) -> tuple[Any, ...]:  # another process opens the file itself
        return PackedRows, (self.file, self.dtype, self.shape, self._checks)

    def _row(self, row: int) -> NDArray[Any]:
        try:
            content = os.pread(self._descriptor, self._row_bytes, row * self._row_bytes)
        except OSError as error:  # a disk that fails
            raise self._damage(f"this file of the packed faces cannot be read ({error.strerror})") from error
        if len(content) != self._row_bytes:
            raise self._damage(f"the file ends before row {row}: it was cut short after it was opened")
        if not self._compared[row]:
            if zlib.crc32(content) != self._checks[row]:
                raise self._damage(f"row {row} of the file is not what was written (its checksum differs)")
            self._compared[row] = True
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape[1:])

    def _damage(self, message: str) -> DamagedCache:
        # On a read-only disk nobody can build the cache again either; the damage is reported all the same.
        with suppress(OSError):
            (self.file.parent / VERIFIED).unlink(missing_ok=True)
        return DamagedCache(message, where=str(self.file))


def raise_unless_damage(error: OSError) -> None:
    """Raise errors that are not about the file itself, so that they never cause a sound cache to be rebuilt."""
    if error.errno in TOO_MANY_FILES:
        raise error


@contextmanager
def reading(file: Path, what: str = "read") -> Iterator[None]:
    """Turn errors about a file of the packed faces into DamagedCache."""
    try:
        yield
    except OSError as error:
        raise_unless_damage(error)
        message = f"this file of the packed faces cannot be {what} ({error.strerror})"
        raise DamagedCache(message, where=str(file)) from error


@contextmanager
def disk_errors(folder: Path, what: str, *, elsewhere: str | None = None) -> Iterator[None]:
    """Turn errors of a disk that is written to into RunFailure.

    Args:
        folder: where it is written.
        what: what is written, for the message.
        elsewhere: how to choose another folder.
    """
    try:
        yield
    except OSError as error:
        raise_unless_damage(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise RunFailure(
            "the disk is full" if full else f"cannot write the {what}: {error.strerror or error}",
            where=str(error.filename or folder),
            remedy="free some space and start again: what is written already is kept" if full else elsewhere,
        ) from error


def describe_rows(file: Path, count: int, progress: Callable[[int], None]) -> tuple[str, NDArray[np.uint32]]:
    """Return a file's SHA-256 in hex and the CRC-32 of each of its rows, (count,), from one pass over it.

    Args:
        file: the file; its length is a multiple of ``count``.
        count: how many rows it has.
        progress: called with the bytes of each block.
    """
    row_bytes = file.stat().st_size // count
    digest, checks, row = hashlib.sha256(), np.zeros(count, dtype="<u4"), 0
    with file.open("rb") as stream:
        while row < count:
            block = memoryview(stream.read(max(1, _BLOCK // max(1, row_bytes)) * row_bytes))
            if len(block) % max(1, row_bytes) or not block:
                break  # it became shorter meanwhile; its SHA-256 shows it
            digest.update(block)
            for start in range(0, len(block), row_bytes):
                checks[row] = zlib.crc32(block[start : start + row_bytes])
                row += 1
            progress(len(block))
    return digest.hexdigest(), checks


def write_whole(file: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there, so that it is never half written."""
    beside = file.with_name(file.name + ".new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def read_row_checks(folder: Path, names: list[str], count: int) -> dict[str, NDArray[np.uint32]] | None:
    """Return the checksums of the rows of files, in their order; None where they are missing, damaged or of others."""
    try:
        content = (folder / ROW_CHECKS).read_bytes()
    except OSError:
        return None  # older caches have none; it is made from the files, once they are compared
    table, digest = content[:-_SHA256_BYTES], content[-_SHA256_BYTES:]
    if len(table) != 4 * count * len(names) or hashlib.sha256(table).digest() != digest:
        return None
    rows = np.frombuffer(table, dtype="<u4").reshape(len(names), count)
    return dict(zip(names, rows, strict=True))
