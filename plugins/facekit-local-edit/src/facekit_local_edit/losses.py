"""The loss of the pixels in a hole."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import HOLE, BuildContext, Step
from facekit_gan import fake

from .plugin import HoleL1Options


def hole_l1_loss(fake: Tensor, real: Tensor, hole: Tensor, *, scale: int = 1) -> Tensor:
    """Return the mean over images of the mean absolute difference within their holes, a scalar.

    Every image counts alike, however small its hole is.

    Args:
        fake: images (N, 3, H, W) in [-1, 1].
        real: the photos.
        hole: (N, 1, H, W), 1 inside.
        scale: pixels a side of the squares whose means are compared; what is left over at the right and below counts
            as squares of its own.
    """
    difference = (fake.float() - real.float()) * hole
    if scale > 1:
        difference = F.avg_pool2d(difference, scale, ceil_mode=True, divisor_override=1)
    return (difference.abs().mean(1).sum((1, 2)) / hole.sum((1, 2, 3)).clamp_min(1)).mean()


class HoleL1Loss:
    """The pixel difference between fakes and real photos within the hole.

    Args:
        scale: pixels a side of the squares whose means are compared.
    """

    def __init__(self, scale: int) -> None:
        self.scale = scale

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar in [0, 2]."""
        return hole_l1_loss(fake(step).image, step.batch.image, step.condition.extra[HOLE.name], scale=self.scale)


def build_hole_l1(options: HoleL1Options, context: BuildContext) -> HoleL1Loss:
    """Build the loss from a recipe's options."""
    return HoleL1Loss(options.scale)
