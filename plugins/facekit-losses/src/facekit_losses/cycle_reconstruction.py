"""Cycle reconstruction: a photo whose attributes are changed and changed back is the photo again."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import BuildContext, NoOptions, Step
from facekit_gan import generate, real, shuffled_attributes

from .numeric import mean_absolute_difference


def cycle_reconstruction_loss(back: Tensor, photo: Tensor) -> Tensor:
    """Return the mean absolute difference between a photo and what became of it on the way there and back.

    Choi et al., CVPR 2018, equation 4.

    Args:
        back: (N, 3, H, W), the results changed back.
        photo: the photos, of the same shape.

    Returns:
        a scalar.

    Raises:
        ValueError: the shapes differ.
    """
    return mean_absolute_difference(back, photo)


class CycleReconstructionLoss:
    """Gives fakes with other attributes the photos' own again, and compares with the photos."""

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar in [0, 2]."""
        back = generate(step, step.condition.with_(source_image=shuffled_attributes(step).image))
        return cycle_reconstruction_loss(back.image, real(step).image)


def build(options: NoOptions, context: BuildContext) -> CycleReconstructionLoss:
    """Build the loss from a recipe's options."""
    return CycleReconstructionLoss()
