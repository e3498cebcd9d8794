"""A plugin in one file: an optimiser that keeps state of every sort, and a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from facekit.interfaces import MakeOptimiser, NoOptions, Options, Schedule, TrainingContext
from facekit.registry import ComponentSpec, hookimpl


class OddOptions(Options):
    """Options of ``updating/odd``."""

    momentum: float = Field(0.5, ge=0, lt=1)
    """Share of the last direction that is kept."""
    keeps: str = ""
    """Keep something that checkpoints cannot keep."""
    breaks: bool = False
    """Refuse to be made."""
    gives: str = "an optimiser"
    """What is made."""


class Odd(torch.optim.Optimizer):
    """Follows the sign of a mean of gradients; the mean, and every other number, is kept in another sort of place."""

    def __init__(self, groups: list[dict[str, Any]], options: OddOptions) -> None:
        super().__init__(groups, {"momentum": options.momentum, "seen": 0})
        self.keeps = options.keeps

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["seen"] += 1
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state.update(count=0, scale=1.0, odd=False, nothing=None, empty=[], pair=(1, 0.5))
                    state.update(means=[torch.zeros_like(weight), {"inner": torch.zeros_like(weight)}])
                    state.update(total=torch.tensor(0.0), half=torch.zeros(3, dtype=torch.float64))
                if self.keeps:
                    state["kept"] = {"text": "some text", "key": {1: 2.0}}[self.keeps]
                state["count"] += 1
                state["odd"] = not state["odd"]
                state["scale"] *= 0.97
                state["pair"] = (state["pair"][0] + 1, state["pair"][1] * 0.9)
                state["total"] += 0.1
                state["half"] += 0.1
                first: Tensor = state["means"][0].lerp_(weight.grad, 1 - group["momentum"])
                second: Tensor = state["means"][1]["inner"].lerp_(first, 0.5)
                push = state["scale"] + state["pair"][1] + float(state["total"]) + float(state["half"].sum())
                weight.sub_(torch.sign(second), alpha=group["lr"] * push / (group["seen"] + state["odd"]))


def build_odd(options: OddOptions, context: TrainingContext) -> MakeOptimiser:
    def make(groups: list[dict[str, Any]]) -> Any:
        if options.breaks:
            raise ValueError("momentum is out of order")
        return Odd(groups, options) if options.gives == "an optimiser" else options.gives

    return make


class WavesOptions(Options):
    """Options of ``updating/waves``."""

    bad: float | None = None
    """Give this at the last step."""
    fails: bool = False
    """Divide by zero."""


def build_waves(options: WavesOptions, context: TrainingContext) -> Schedule:
    def factor(step: int, steps: int) -> float:
        if options.fails:
            return 1 / 0
        return options.bad if options.bad is not None and step == steps - 1 else 1 - 0.5 * (step % 2)

    return factor


def spec(kind: Any, name: str, options: type[Options]) -> ComponentSpec:
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"updating/{name}",
        summary=f"The {kind} of the tests.",
        options=options,
        factory=f"updating_plugin:build_{name}",
    )


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    return [
        spec("optimiser", "odd", OddOptions),
        spec("schedule", "waves", WavesOptions),
        spec("optimiser", "sgd", NoOptions),  # takes nobody's recipes over
    ]
