"""What long work on a dataset says of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Args:
        stage: ``waiting`` for another process that builds the same cache, ``pictures`` (reading, drawing, writing
            them), or ``checksums`` (bytes of the packed files).
        done: how much of ``total`` is done; pictures, or bytes for ``checksums``; 0 while waiting.
        total: how much there is in all.
        resumed: how many of the done pictures an earlier, interrupted call left behind.
    """

    stage: Literal["waiting", "pictures", "checksums"]
    done: int
    total: int
    resumed: int = 0


ProgressCallback = Callable[[Progress], None]
"""Called from the calling thread, often; whoever draws a bar throttles it."""


def ignore_progress(progress: Progress) -> None:
    """Take no notice: the callback of those who give none."""
