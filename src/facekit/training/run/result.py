"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Args:
        outcome: ``finished``, or ``interrupted`` (Ctrl-C, SIGTERM).
        step: updates done.
        steps: updates in all.
        run: the run folder.
        seconds: how long this call took, set-up included.
        warnings: what the user should know.
    """

    outcome: str
    step: int
    steps: int
    run: Path
    seconds: float
    warnings: tuple[str, ...]
