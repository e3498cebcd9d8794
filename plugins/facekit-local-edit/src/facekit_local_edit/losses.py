"""The loss of the pixels in a hole."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import HOLE, BuildContext, NoOptions, Step
from facekit_gan import fake


def hole_l1_loss(fake: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """Return the mean over images of the mean absolute difference within their holes, a scalar.

    Every image counts alike, however small its hole is.

    Args:
        fake: images (N, 3, H, W) in [-1, 1].
        real: the photos.
        hole: (N, 1, H, W), 1 inside.
    """
    difference = (fake.float() - real.float()).abs().mean(1, keepdim=True) * hole
    return (difference.sum((1, 2, 3)) / hole.sum((1, 2, 3)).clamp_min(1)).mean()


class HoleL1Loss:
    """The pixel difference between fakes and real photos within the hole."""

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar in [0, 2]."""
        return hole_l1_loss(fake(step).image, step.batch.image, step.condition.extra[HOLE.name])


def build_hole_l1(options: NoOptions, context: BuildContext) -> HoleL1Loss:
    """Build the loss from a recipe's options."""
    return HoleL1Loss()
