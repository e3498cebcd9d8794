"""How weights are updated and how learning rates change: optimisers and schedules. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True)
class TrainingContext:
    """What the factory of an optimiser or a schedule is given beside its options.

    Args:
        player: the player whose weights are updated.
        steps: the steps of the run.
    """

    player: str
    steps: int


class MakeOptimiser(Protocol):
    """What the factory of an optimiser returns."""

    def __call__(self, groups: list[dict[str, Any]]) -> Optimizer:
        """Return an optimiser for groups of weights.

        Its ``step`` needs no closure. What it knows of a weight, in ``state[weight]``, is tensors, numbers, true and
        false, None, or lists and maps of these: checkpoints keep them, and a resumed run goes on bit for bit. The same
        goes for numbers in its groups that it changes. What it keeps anywhere else is lost.

        Args:
            groups: as ``torch.optim`` takes them: ``params``, a list of weights, and ``lr``, their learning rate.
                Before every update facekit sets ``lr`` to what the schedule makes of it.
        """
        ...


Schedule = Callable[[int, int], float]
"""What the factory of a schedule returns: a pure function of a step, from 0, and the steps of the run.

It gives the factor on the learning rates in that step: a finite number of at least 0.
"""
