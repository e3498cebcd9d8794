"""What is measured in the pixels of one edited photo: texture and colour inside, seam and untouched pixels outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facekit.data.geometry import Box, resize_photo
from facekit.faces.colour import lab_colours, luminance
from facekit_studio.editing.script.masks import Pixels, extent_of, square_around

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


def band_energy(image: Image) -> NDArray[np.float64]:
    """Return the energy (2, H, W) of the fine and of the coarse band of a photo (H, W, 3) at every pixel.

    The definition is that of ``metrics/texture``: squares of the difference to a Gaussian of 1 pixel, and of that to
    one of 2.5 pixels, cut off at 4 deviations.
    """
    grey = luminance(image)
    narrow, wide = (ndimage.gaussian_filter(grey, sigma, mode="reflect", truncate=4.0) for sigma in SIGMAS)
    return np.stack(((grey - narrow) ** 2, (narrow - wide) ** 2))


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
    extent = extent_of(shown)
    assert extent is not None  # who measures a window has seen that something is shown
    return square_around(extent, shown.shape[0], context=CONTEXT, smallest=SMALLEST_WINDOW)


def crop(image: Image, box: Box, side: int = CROP_SIDE) -> Image:
    """Return a window of a photo at (side, side, 3)."""
    return resize_photo(image, side, box)
