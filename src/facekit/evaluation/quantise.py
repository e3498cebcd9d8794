"""Rounding results to what a saved picture keeps."""

from __future__ import annotations

from torch import Tensor


def round_to_8_bits(image: Tensor) -> Tensor:
    """Return pictures as they would be read back from an 8-bit file.

    Args:
        image: (N, 3, H, W); values outside [-1, 1] are clamped.

    Returns:
        (N, 3, H, W) float32 in [-1, 1], each value one of the 256 that photos have.
    """
    levels = ((image.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels / 127.5 - 1
