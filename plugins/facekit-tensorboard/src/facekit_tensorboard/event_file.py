"""Event files: what TensorBoard reads, one record after the other."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from facekit_tensorboard.settings import MARK

_VERSION = "brain.Event:2"


class EventFile:
    """An event file that grows. Each record is on its way to the disk when :meth:`write` returns.

    There is neither buffer nor thread: a process that is killed loses nothing that was written, and a full disk is told
    where it is met.

    Args:
        folder: where the file is made; with its parents where they are missing.
        begins_at: the first step in it. TensorBoard drops what earlier files say of this step and those after it: a run
            that goes on from a checkpoint does them again.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path, *, begins_at: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder by name, so a later one must sort after the others.
        now = time.time()
        self.path = folder / f"events.out.{MARK}.{now:017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._append(_head(now))
        # In the first file, too: TensorBoard's server takes only the second start it sees for one that goes on.
        self._append(Event(wall_time=now, step=begins_at, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Iterable[Summary.Value]) -> None:
        """Append what belongs to a step.

        Raises:
            OSError: the disk is full, or gone; the file then ends with the last whole record.
        """
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Bring the file to disk and close it; a second time, nothing happens."""
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _append(self, event: Event) -> None:
        record = as_record(event)
        whole = os.fstat(self._file).st_size
        try:
            rest = memoryview(record)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, whole)
            raise


def write_whole(path: Path, step: int, values: Iterable[Summary.Value]) -> None:
    """Write an event file of one step, beside its place and renamed there: it replaces an earlier one of its name.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    now = time.time()
    event = Event(wall_time=now, step=step, summary=Summary(value=values))
    beside = path.with_name(f".{path.name.replace(MARK, 'new')}")
    try:
        beside.write_bytes(as_record(_head(now)) + as_record(event))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def as_record(event: Event) -> bytes:
    """Return an event as it stands in a file: length, checksums and contents."""
    buffer = BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()


def _head(now: float) -> Event:
    return Event(wall_time=now, file_version=_VERSION, source_metadata=SourceMetadata(writer="facekit-tensorboard"))
