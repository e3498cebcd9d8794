"""Resizing of pictures before a network sees them; its name is part of every protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Resize:
    """A way to resize.

    Args:
        name: for protocols.
        function: takes float pictures (N, 3, H, W) and a side S, returns (N, 3, S, S).
    """

    name: str
    function: Callable[[Tensor, int], Tensor]


def bicubic_antialiased(image: Tensor, side: int) -> Tensor:
    """Return pictures at another size: bicubic (a = -0.5), the kernel widened when shrinking, values not rounded.

    That is how Pillow resizes floats, and what Parmar et al. (On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation, CVPR 2022) recommend. Pictures that have the size already stay as they are.

    Args:
        image: (N, 3, H, W), float.
        side: the size wanted.

    Returns:
        (N, 3, side, side); bicubic kernels overshoot, so values may leave the input's range a little.
    """
    if image.shape[-2:] == (side, side):
        return image
    return F.interpolate(image, size=(side, side), mode="bicubic", align_corners=False, antialias=True)


BICUBIC_ANTIALIASED = Resize("bicubic, antialiased, in float", bicubic_antialiased)
"""The only one that metrics use."""
