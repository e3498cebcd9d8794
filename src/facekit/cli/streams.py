"""The streams of the program: stderr never ends a command, and a closed stream is as good as an open one.

stderr shows progress. A terminal that was closed, a log on a full disk or a reader that went away must not cost
a training. stdout carries results: what cannot be written there ends the command, with a sentence.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BROKEN_PIPE = 141
"""The exit code when the reader of our output went away, as shells have it."""

_STDOUT, _STDERR = 1, 2


def guard_streams() -> None:
    """Make the streams of this process safe to print to, whatever becomes of them. Called once, as the program starts.

    Characters that a stream cannot encode are written as escapes.
    """
    # Closed standard descriptors point at nothing: else the next file that is opened becomes stdout or stderr.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    sys.stdout = _guarded(sys.stdout, _STDOUT, _Results)
    sys.stderr = _guarded(sys.stderr, _STDERR, _Display)


def _guarded(stream: TextIO | None, descriptor: int, kind: type[io.FileIO]) -> TextIO:
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(kind(descriptor, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=os.isatty(descriptor) or descriptor == _STDERR,
        write_through=bool(getattr(stream, "write_through", False)),
    )


def _discard(descriptor: int) -> None:
    """Point a descriptor at nothing: buffers and libraries may write to it to the end of the process."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


class _Display(io.FileIO):
    """stderr: what cannot be written is dropped, from then on."""

    def write(self, data: ReadableBuffer, /) -> Any:
        try:
            return super().write(data)
        except OSError:
            _discard(_STDERR)
            return super().write(data)


class _Results(io.FileIO):
    """stdout: what cannot be written is an error, reported once."""

    def write(self, data: ReadableBuffer, /) -> Any:
        """Write bytes.

        Raises:
            Exit: the reader went away; ``facekit components ls | head`` is no mistake.
            RunFailure: the disk is full, or the terminal is gone.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            _discard(_STDOUT)
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except OSError as error:
            from facekit.interfaces import RunFailure

            _discard(_STDOUT)
            raise RunFailure(
                f"what this command prints cannot be written: {error.strerror or error}",
                where="stdout",
                remedy="what it wrote into files stands",
            ) from error
