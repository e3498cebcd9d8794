"""The R1 penalty: half the squared slope of the discriminator at photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, DiscriminatorOutput, Generated, Step, discriminate
from facekit_gan import real

from .input_gradients import squared_gradient_norms
from .options import PatchReduction, R1PenaltyOptions


def r1_penalty(
    discriminate: Callable[[Generated], DiscriminatorOutput], picture: Generated, *, patches: PatchReduction = "sum"
) -> Tensor:
    """Return half the mean over photos of the squared norm of the gradient, summed over scales.

    Mescheder et al., ICML 2018: with the recipe's weight as gamma this is their R1 term.

    Args:
        discriminate: the discriminator with its condition, in full precision.
        picture: photos (N, 3, H, W).
        patches: see :func:`facekit_losses.input_gradients.squared_gradient_norms`.

    Returns:
        a scalar that can be differentiated with respect to the discriminator's parameters.
    """
    norms = squared_gradient_norms(discriminate, picture, patches=patches)
    return torch.stack([squared.mean() / 2 for squared in norms]).sum()


@dataclass(frozen=True, kw_only=True)
class R1Penalty:
    """The R1 penalty at real photos, always in fp32.

    Args:
        patches: see :func:`r1_penalty`.
    """

    patches: PatchReduction = "sum"

    def __call__(self, step: Step) -> Tensor:
        """Return the penalty, a scalar."""
        condition = step.condition
        with step.full_precision():
            return r1_penalty(
                lambda leaf: discriminate(step.networks, leaf, condition), real(step), patches=self.patches
            )


def build(options: R1PenaltyOptions, context: BuildContext) -> R1Penalty:
    """Build the penalty from a recipe's options."""
    return R1Penalty(patches=options.patches)
