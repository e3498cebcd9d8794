"""Colours on a coarse grid: wakes a style path that fine losses leave asleep."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Step
from facekit_gan import fake, real

from .numeric import at_least_float32, mean_absolute_difference
from .options import LowResolutionColourOptions


def low_resolution_colour_loss(result: Tensor, photo: Tensor, *, grid: int = 8) -> Tensor:
    """Return the mean absolute difference between two pictures that are averaged to ``grid`` x ``grid`` cells.

    Feature losses see edges and texture and are nearly blind to a colour cast. The mean over a cell sees nothing
    else, and does not punish detail that is moved by a few pixels.

    Args:
        result: pictures (N, 3, H, W).
        photo: pictures of the same shape.
        grid: cells a side; must divide H and W.

    Returns:
        a scalar.

    Raises:
        ValueError: the shapes differ, or the grid does not divide the picture.
    """
    height, width = result.shape[-2:]
    if height % grid or width % grid:
        raise ValueError(f"a grid of {grid} cells a side does not divide pictures of {height} x {width} pixels")
    cell = (height // grid, width // grid)
    return mean_absolute_difference(
        F.avg_pool2d(at_least_float32(result), cell), F.avg_pool2d(at_least_float32(photo), cell)
    )


@dataclass(frozen=True, kw_only=True)
class LowResolutionColourLoss:
    """The coarse colour difference between fakes and real photos; ``grid`` cells a side."""

    grid: int = 8

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar in [0, 2]."""
        return low_resolution_colour_loss(fake(step).image, real(step).image, grid=self.grid)


def build(options: LowResolutionColourOptions, context: BuildContext) -> LowResolutionColourLoss:
    """Build the loss from a recipe's options."""
    return LowResolutionColourLoss(grid=options.grid)
