"""Geometry on masks of class ids: what edit operations are made of. Everything here is exact and repeatable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facekit.data.geometry import Box

Ids = NDArray[np.uint8]
"""A mask (H, W) of class ids."""

Pixels = NDArray[np.bool_]
"""Which pixels of a mask are meant (H, W)."""


class Extent(NamedTuple):
    """The rows and columns that pixels span, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def centre(self) -> tuple[float, float]:
        """The middle (x, y), in pixels; pixel centres lie at whole numbers."""
        return (self.left + self.right - 1) / 2, (self.top + self.bottom - 1) / 2

    @property
    def height(self) -> int:
        """How many rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """How many columns."""
        return self.right - self.left


def pixels_of(mask: Ids, ids: Sequence[int]) -> Pixels:
    """Return which pixels belong to one of the classes."""
    return np.isin(mask, np.asarray(ids, dtype=np.uint8))


def extent_of(pixels: Pixels) -> Extent | None:
    """Return what the pixels span; None where there are none."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    return Extent(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def filled(mask: Ids, hole: Pixels, *, without: Sequence[int] = ()) -> Ids:
    """Return the mask with each pixel of the hole in the class of the nearest pixel outside.

    Args:
        mask: the mask.
        hole: the pixels to fill.
        without: classes that must not flow into the hole.

    Returns:
        a new mask; the same classes where nothing lies outside the hole to fill it from.
    """
    source = ~hole & ~pixels_of(mask, without)
    if not source.any():
        return mask.copy()
    _, (rows, columns) = ndimage.distance_transform_edt(~source, return_indices=True)
    return np.where(hole, mask[rows, columns], mask)


def grown(pixels: Pixels, radius: float) -> Pixels:
    """Return the pixels and all that lie within a radius (in pixels) of them; a negative radius shrinks."""
    if not pixels.any():
        return pixels.copy()
    if radius >= 0:
        return ndimage.distance_transform_edt(~pixels) <= radius
    # What lies outside the picture counts as more of the same, so that hair at the border does not shrink from it.
    padded = np.pad(pixels, 1, mode="edge")
    return (ndimage.distance_transform_edt(padded) > -radius)[1:-1, 1:-1]


def warped(
    mask: Ids, part: Pixels, *, scale: tuple[float, float], degrees: float, shift: tuple[float, float]
) -> tuple[Ids, Pixels]:
    """Scale and turn a part of a mask about its middle, then shift it.

    Args:
        mask: the mask.
        part: the pixels that move.
        scale: across and down.
        degrees: clockwise as seen.
        shift: right and down, in pixels.

    Returns:
        the classes of the part where it comes to lie, and which pixels those are.
    """
    extent = extent_of(part)
    if extent is None:
        return mask.copy(), part.copy()
    centre_x, centre_y = extent.centre
    rows, columns = np.indices(mask.shape, dtype=np.float64)
    x, y = columns - centre_x - shift[0], rows - centre_y - shift[1]
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    source_x = (cosine * x + sine * y) / scale[0] + centre_x
    source_y = (-sine * x + cosine * y) / scale[1] + centre_y
    # Halves are rounded up, never to even, so that neighbouring pixels do not fall onto one source.
    column, row = np.floor(source_x + 0.5).astype(np.int64), np.floor(source_y + 0.5).astype(np.int64)
    inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    return mask[row, column], inside & part[row, column]


def square_around(extent: Extent, side: int, *, context: float, smallest: float) -> Box:
    """Return the square window around an extent, of whole pixels and within a picture (side, side).

    Args:
        extent: what it is laid around.
        side: the picture's side.
        context: side of the window in extents.
        smallest: smallest side of the window, as a share of the picture's.
    """
    length = min(side, max(round(smallest * side), round(context * max(extent.height, extent.width))))

    def start(first: int, end: int) -> int:
        return int(np.clip(round((first + end) / 2 - length / 2), 0, side - length))

    return Box(start(extent.left, extent.right), start(extent.top, extent.bottom), length)


def resized(mask: Ids, height: int, width: int) -> Ids:
    """Return the mask at another size, by the nearest pixel."""
    if mask.shape == (height, width):
        return mask.copy()
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return mask[rows[:, None], columns[None, :]]


def between(first: Ids, second: Ids, amount: float) -> Ids:
    """Return a mask between two: each class's outline moves from the one to the other.

    Each class has a signed distance to its outline in either mask; a pixel gets the class whose mixture of both is
    deepest inside. A class that only one of them has shrinks or grows with the amount.

    Args:
        first: a mask.
        second: another of the same shape.
        amount: 0 for the first, 1 for the second.
    """
    if amount <= 0:
        return first.copy()
    if amount >= 1:
        return second.copy()
    best = np.full(first.shape, -np.inf)
    result = first.copy()
    for identity in np.union1d(first, second):
        depth = (1 - amount) * _depth(first == identity) + amount * _depth(second == identity)
        deeper = depth > best
        best[deeper] = depth[deeper]
        result[deeper] = identity
    return result


def _depth(pixels: Pixels) -> NDArray[np.float64]:
    """Return how deep inside each pixel lies, negative outside."""
    if not pixels.any():
        return np.full(pixels.shape, -float(max(pixels.shape)))
    if pixels.all():
        return np.full(pixels.shape, float(max(pixels.shape)))
    inside = ndimage.distance_transform_edt(pixels)
    outside = ndimage.distance_transform_edt(~pixels)
    return np.where(pixels, inside - 0.5, 0.5 - outside)
