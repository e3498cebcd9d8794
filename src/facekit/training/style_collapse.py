"""Watches whether the result changes with the reference: style paths can die while the faces stay pretty."""

from __future__ import annotations

from typing import Any

DEAD_BELOW = 0.02
"""Mean absolute difference (range 0..2) below which a result does not visibly change with the reference."""

PATIENCE_FROM, PATIENCE = 0.1, 0.1
"""Shares of all steps: when the watch starts, and for how long the difference must stay low before it warns."""

CHANGES_WITH_REFERENCE = "changes_with_reference"
"""Name of the number in logs."""


class ReferenceWatch:
    """Warns once when the result has not changed with the reference for long.

    Args:
        steps: steps of the run.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._low_since: int | None = None
        self._warned = False

    def see(self, step: int, change: float) -> str | None:
        """Take in a measurement after ``step`` updates; return the warning when it is time for it."""
        if change >= DEAD_BELOW or step < PATIENCE_FROM * self._steps:
            self._low_since = None
            return None
        if self._low_since is None:
            self._low_since = step
        if self._warned or step - self._low_since < PATIENCE * self._steps:
            return None
        self._warned = True
        return (
            f"the result does not change with the reference: {CHANGES_WITH_REFERENCE} is {change:.4f} (of 0..2), and "
            f"below {DEAD_BELOW} since step {self._low_since}. If the losses jumped within the first steps, their rate "
            "was too high: raise train.schedule.warmup_steps, or lower train.optimiser.lr_scale.style_encoder. Else "
            "try an initialisation that lets the style through, a colour or style loss, or a larger lr_scale"
        )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON data."""
        return {"low_since": self._low_since, "warned": self._warned}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` returned."""
        self._low_since, self._warned = state["low_since"], state["warned"]


def measures_at(step: int, *, log_every: int, least: int = 50) -> bool:
    """Return whether the change is measured at the log line after ``step`` updates: at lines ``least`` steps apart."""
    return step % (log_every * -(-least // log_every)) == 0
