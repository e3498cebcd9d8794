"""A plugin for facekit in one file.

    facekit run my_loss.yaml --plugin-file my_loss.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import GENERATED, IMAGE, BuildContext, Options, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class CharbonnierOptions(Options):
    """Options of the loss."""

    epsilon: float = Field(1e-3, gt=0)
    """Below this difference the loss is round, above it is straight; images are in [-1, 1]."""


def charbonnier_ports(options: CharbonnierOptions, context: PortContext) -> Ports:
    """Compares the fake with the real image."""
    return Ports(needs=(IMAGE, GENERATED))


CHARBONNIER = ComponentSpec(
    interface_version=1,
    kind="loss",
    id="my_loss/charbonnier",
    summary="Smooth absolute difference between the pixels of fake and real image.",
    options=CharbonnierOptions,
    factory="my_loss:build_loss",
    ports=charbonnier_ports,
    paper="Charbonnier et al., Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging, "
    "ICIP 1994",
    example={"epsilon": 1e-3},
)


def build_loss(options: CharbonnierOptions, context: BuildContext) -> Any:
    """Build the loss from a recipe's options."""
    from facekit.interfaces import Step
    from facekit_gan import fake
    from torch import Tensor

    class Charbonnier:
        """The mean of sqrt(difference² + epsilon²) - epsilon."""

        def __init__(self, options: CharbonnierOptions) -> None:
            self.epsilon = options.epsilon

        def __call__(self, step: Step) -> Tensor:
            """Return the loss, a scalar; the recipe's weight is applied by facekit."""
            difference = fake(step).image.float() - step.batch.image.float()
            return ((difference.square() + self.epsilon**2).sqrt() - self.epsilon).mean()

    return Charbonnier(options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [CHARBONNIER]
