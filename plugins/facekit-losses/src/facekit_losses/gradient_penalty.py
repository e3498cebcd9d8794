"""The gradient penalty of WGAN-GP, scale by scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, DiscriminatorOutput, Generated, Step, discriminate
from facekit_gan import real

from .fakes import fakes_of
from .input_gradients import squared_gradient_norms
from .options import GradientPenaltyOptions, PatchReduction, Results

NORM_EPSILON = 1e-12
"""Added under the square root: the norm has no derivative where the gradient is zero."""


def interpolate(real: Generated, fake: Generated, share: Tensor) -> Generated:
    """Return pictures on the line between photos and results.

    Args:
        real: photos (N, 3, H, W), with the levels of a pyramid where ``fake`` has them.
        fake: results of the same shape.
        share: (N,) in [0, 1]; 1 is the photo. The same for all levels of a pyramid.

    Raises:
        ValueError: photos and results differ in shape or in their number of levels.
    """
    if len(real.pyramid) != len(fake.pyramid):
        raise ValueError(f"photos have {len(real.pyramid)} further levels and results {len(fake.pyramid)}")

    def blend(photo: Tensor, result: Tensor) -> Tensor:
        if photo.shape != result.shape:
            raise ValueError(f"photos of shape {tuple(photo.shape)} and results of shape {tuple(result.shape)}")
        weight = share.to(photo, non_blocking=True).view(-1, 1, 1, 1)
        return weight * photo.detach() + (1 - weight) * result.detach().to(photo.dtype)

    return replace(
        real,
        image=blend(real.image, fake.image),
        pyramid=tuple(blend(photo, result) for photo, result in zip(real.pyramid, fake.pyramid, strict=True)),
    )


def gradient_penalty(
    discriminate: Callable[[Generated], DiscriminatorOutput], picture: Generated, *, patches: PatchReduction = "sum"
) -> Tensor:
    """Return the mean over pictures of (norm of the gradient - 1)^2, summed over scales.

    Gulrajani et al., NeurIPS 2017.

    Args:
        discriminate: the discriminator with its condition, in full precision.
        picture: pictures (N, 3, H, W) between photos and results.
        patches: see :func:`facekit_losses.input_gradients.squared_gradient_norms`.

    Returns:
        a scalar that can be differentiated with respect to the discriminator's parameters.
    """
    norms = squared_gradient_norms(discriminate, picture, patches=patches)
    return torch.stack([((squared + NORM_EPSILON).sqrt() - 1).square().mean() for squared in norms]).sum()


@dataclass(frozen=True, kw_only=True)
class GradientPenalty:
    """The gradient penalty at random points between real photos and fakes, always in fp32.

    Args:
        patches: see :func:`facekit_losses.input_gradients.squared_gradient_norms`.
        results: the fakes with their own attributes, or with those of another face.
    """

    patches: PatchReduction = "sum"
    results: Results = "own"

    def __call__(self, step: Step) -> Tensor:
        """Return the penalty, a scalar."""
        photos = real(step)
        share = torch.rand(photos.image.shape[0], generator=step.random)
        picture, condition = interpolate(photos, fakes_of(step, self.results), share), step.condition
        with step.full_precision():
            return gradient_penalty(
                lambda leaf: discriminate(step.networks, leaf, condition), picture, patches=self.patches
            )


def build(options: GradientPenaltyOptions, context: BuildContext) -> GradientPenalty:
    """Build the penalty from a recipe's options."""
    return GradientPenalty(patches=options.patches, results=options.results)
