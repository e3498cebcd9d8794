"""What is measured in the pixels of one edited photo: texture and colour inside, seam and untouched pixels outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facekit.data.geometry import Box, resize_photo
from facekit.editing.script.masks import Pixels, extent_of

Image = NDArray[np.uint8]

SIGMAS = (1.0, 2.5)
"""Deviations of the Gaussians that bound the bands, in pixels of the measured side."""

FEWEST = 48
"""Pixels of a part, without its outline, below which it is not measured."""

CROP_SIDE = 128
"""Pixels of the side of crops."""

CONTEXT = 1.5
"""Side of a crop's window in extents of what it is laid around."""

SMALLEST_WINDOW = 0.125
"""Smallest side of a window, as a share of the photo's."""

_LUMA = np.array((0.299, 0.587, 0.114))
_SRGB_TO_XYZ = np.array(
    ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
)
_D65 = np.array((0.95047, 1.0, 1.08883))


@dataclass(frozen=True)
class PartFigures:
    """What a part of a photo looks like.

    Args:
        fine: mean over its pixels of ``(g - Gaussian(g, 1.0))^2``, with the brightness ``g`` in 0..1.
        coarse: mean of ``(Gaussian(g, 1.0) - Gaussian(g, 2.5))^2``.
        lab: mean of its pixels' CIE Lab colours, (3,) float64.
    """

    fine: float
    coarse: float
    lab: NDArray[np.float64]


def luminance(image: Image) -> NDArray[np.float64]:
    """Return the brightness (H, W) in 0..1 of a photo: BT.601 luma of its sRGB values as stored."""
    return np.asarray(image @ _LUMA / 255)


def band_energy(image: Image) -> NDArray[np.float64]:
    """Return the energy (2, H, W) of the fine and of the coarse band of a photo (H, W, 3) at every pixel.

    The definition is that of ``metrics/texture``: squares of the difference to a Gaussian of 1 pixel, and of that to
    one of 2.5 pixels, cut off at 4 deviations.
    """
    grey = luminance(image)
    narrow, wide = (ndimage.gaussian_filter(grey, sigma, mode="reflect", truncate=4.0) for sigma in SIGMAS)
    return np.stack(((grey - narrow) ** 2, (narrow - wide) ** 2))


def lab_colours(colours: Image) -> NDArray[np.float64]:
    """Return CIE 1976 L*a*b* (..., 3) of sRGB colours (..., 3), for the white point D65."""
    encoded = colours.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _SRGB_TO_XYZ.T / _D65
    epsilon, kappa = 216 / 24389, 24389 / 27
    x, y, z = np.moveaxis(np.where(xyz > epsilon, np.cbrt(xyz), (kappa * xyz + 16) / 116), -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def without_outline(part: Pixels) -> Pixels:
    """Return a part without the pixels next to others, also diagonally; the photo's edge is no outline."""
    return np.asarray(ndimage.binary_erosion(part, structure=np.ones((3, 3)), border_value=1))


def part_figures(image: Image, part: Pixels, energy: NDArray[np.float64]) -> PartFigures | None:
    """Return what a part of a photo looks like without its outline; None where it is smaller than :data:`FEWEST`.

    Args:
        image: the photo (H, W, 3).
        part: which pixels, (H, W).
        energy: the photo's :func:`band_energy`.
    """
    inner = without_outline(part)
    if int(inner.sum()) < FEWEST:
        return None
    fine, coarse = energy[:, inner].mean(axis=1)
    return PartFigures(float(fine), float(coarse), lab_colours(image[inner]).mean(axis=0))


def changed_outside(edited: Image, photo: Image, touched: Pixels) -> int:
    """Return how many pixels an edit changed that it does not say it touched."""
    return int(((edited != photo).any(axis=-1) & ~touched).sum())


def seam(edited: Image, photo: Image, touched: Pixels) -> float | None:
    """Return how much stronger the outline of an edit shows than in the photo before, in grey levels of 255.

    It is the mean absolute difference of brightness between neighbours of which one was touched and the other was not,
    less the same of the photo.

    Args:
        edited: the photo after the edit, (H, W, 3).
        photo: the photo before.
        touched: the pixels that the edit could change, (H, W).

    Returns:
        the difference; None where the edit has no outline in the photo.
    """
    steps: list[NDArray[np.float64]] = []
    after, before = luminance(edited) * 255, luminance(photo) * 255
    for axis in (0, 1):
        across = np.diff(touched.astype(np.int8), axis=axis) != 0
        steps.append((np.abs(np.diff(after, axis=axis)) - np.abs(np.diff(before, axis=axis)))[across])
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else None


def window_around(shown: Pixels) -> Box:
    """Return the square window around some pixels, within the photo (S, S)."""
    side, extent = shown.shape[0], extent_of(shown)
    assert extent is not None  # who measures a window has seen that something is shown
    length = float(min(side, max(SMALLEST_WINDOW * side, CONTEXT * max(extent.height, extent.width))))

    def start(first: int, end: int) -> float:
        return float(np.clip((first + end - length) / 2, 0, side - length))

    return Box(start(extent.left, extent.right), start(extent.top, extent.bottom), length)


def crop(image: Image, box: Box, side: int = CROP_SIDE) -> Image:
    """Return a window of a photo at (side, side, 3)."""
    return resize_photo(image, side, box)
