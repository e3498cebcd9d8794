"""The mean absolute difference between pixels."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import BuildContext, NoOptions, Step
from facekit_gan import fake, real

from .numeric import mean_absolute_difference


def l1_loss(result: Tensor, photo: Tensor) -> Tensor:
    """Return the mean absolute difference between pictures (N, 3, H, W), a scalar.

    Raises:
        ValueError: the shapes differ.
    """
    return mean_absolute_difference(result, photo)


class L1Loss:
    """The pixel difference between fakes and real photos (Isola et al., CVPR 2017)."""

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar in [0, 2]."""
        return l1_loss(fake(step).image, real(step).image)


def build(options: NoOptions, context: BuildContext) -> L1Loss:
    """Build the loss from a recipe's options."""
    return L1Loss()
