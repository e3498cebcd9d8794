"""Brightness and CIE Lab of sRGB colours: one definition for all code that reads pixels without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue are of the brightness (ITU-R BT.601)."""

SRGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to XYZ for the white point D65 (IEC 61966-2-1)."""

D65 = (0.95047, 1.0, 1.08883)
"""XYZ of the white point."""


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the brightness (...) in 0..1 of sRGB colours (..., 3): BT.601 luma of the values as stored."""
    return np.asarray(image @ np.array(LUMA) / 255)


def lab_colours(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIE 1976 L*a*b* (..., 3) of sRGB colours (..., 3), for the white point D65."""
    encoded = colours.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(SRGB_TO_XYZ).T / np.array(D65)
    # The standard's exact rational constants join the cube root and its linear part without a step.
    epsilon, kappa = 216 / 24389, 24389 / 27
    x, y, z = np.moveaxis(np.where(xyz > epsilon, np.cbrt(xyz), (kappa * xyz + 16) / 116), -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)
