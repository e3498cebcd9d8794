"""A plugin for facekit in one file.

    facekit run my_optimiser.yaml --plugin-file my_optimiser.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import Options, TrainingContext
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class LionOptions(Options):
    """Options of the optimiser."""

    betas: tuple[float, float] = (0.9, 0.99)
    """How much of the mean of past gradients is kept in the direction of an update, and in the mean itself."""
    weight_decay: float = Field(0.0, ge=0)
    """Share of a weight that goes in an update, times the learning rate."""


LION = ComponentSpec(
    interface_version=1,
    kind="optimiser",
    id="my_optimiser/lion",
    summary="Follows the sign of a mean of gradients.",
    options=LionOptions,
    factory="my_optimiser:build_optimiser",
    paper="Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023",
    example={"betas": [0.9, 0.99]},
)


def build_optimiser(options: LionOptions, context: TrainingContext) -> Any:
    """Build what makes the optimiser from groups of weights."""
    import torch
    from torch.optim import Optimizer

    class Lion(Optimizer):
        """Lion. What it knows of a weight lies in its state, so that a run that goes on is the same run."""

        def __init__(self, groups: list[dict[str, Any]], options: LionOptions) -> None:
            super().__init__(groups, {"betas": options.betas, "weight_decay": options.weight_decay})

        @torch.no_grad()
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            """Update every weight that has a gradient, at the learning rate of its group."""
            for group in self.param_groups:
                rate, (ahead, kept) = group["lr"], group["betas"]
                for weight in group["params"]:
                    if weight.grad is None:
                        continue
                    state = self.state[weight]
                    if not state:
                        state["mean"] = torch.zeros_like(weight)
                    weight.mul_(1 - rate * group["weight_decay"])
                    weight.sub_(state["mean"].lerp(weight.grad, 1 - ahead).sign(), alpha=rate)
                    state["mean"].lerp_(weight.grad, 1 - kept)

    return lambda groups: Lion(groups, options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [LION]
