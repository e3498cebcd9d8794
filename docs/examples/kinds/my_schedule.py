"""A plugin for facekit in one file.

    facekit run my_schedule.yaml --plugin-file my_schedule.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import Options, TrainingContext
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class RestartsOptions(Options):
    """Options of the schedule."""

    periods: int = Field(4, ge=1)
    """How often the learning rate falls to zero; in between it starts anew."""


RESTARTS = ComponentSpec(
    interface_version=1,
    kind="schedule",
    id="my_schedule/restarts",
    summary="Lowers the learning rate along half a cosine, several times in a run.",
    options=RestartsOptions,
    factory="my_schedule:build_schedule",
    paper="Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017",
    example={"periods": 4},
)


def build_schedule(options: RestartsOptions, context: TrainingContext) -> Any:
    """Build the schedule: a pure function of a step, from 0, and the steps of the run."""
    import math

    def factor(step: int, steps: int) -> float:
        share = step / steps * options.periods % 1
        return (1 + math.cos(math.pi * share)) / 2

    return factor


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [RESTARTS]
