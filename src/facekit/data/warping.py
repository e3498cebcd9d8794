"""Smooth random warps of a photo and its mask, so that a model meets one face in two geometries."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES = 5
"""Nodes a side, the borders among them, that are moved; places between them follow cubic B-splines."""

WARP_NUMBERS = 1 + 2 * NODES**2
"""Random numbers of a warp: its strength, then how far each node moves."""

STILL = 1 / 3
"""Share of the images that are not warped at all; the strength of the others is spread evenly."""


def warped_places(chances: NDArray[np.float64], size: int, furthest: float) -> NDArray[np.float32]:
    """Return where each pixel of a warped image is taken from.

    Args:
        chances: ``WARP_NUMBERS`` numbers in [0, 1). A first one below :data:`STILL` moves nothing: an edit leaves most
            of a face where it is, and a model should know that case, too.
        size: side of the image in pixels.
        furthest: how far a place moves at most along each axis, as a share of the side.

    Returns:
        (2, size, size): row and column, in pixels, within the image.
    """
    strength = max(0.0, float(chances[0]) - STILL) / (1 - STILL)
    moved = (2 * chances[1:].reshape(2, NODES, NODES) - 1) * (strength * furthest * size)
    weights = _spline_weights(size)
    offsets = np.einsum("ri,aij,cj->arc", weights, moved, weights)
    places = offsets + np.indices((size, size))
    return np.clip(places, 0, size - 1).astype(np.float32)


def move_photo(image: NDArray[np.uint8], places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a photo (H, W, 3) whose pixels are taken from ``places``, between pixels bilinearly."""
    height, width = image.shape[:2]
    top = np.minimum(places[0].astype(np.intp), height - 2)
    left = np.minimum(places[1].astype(np.intp), width - 2)
    down, right = (places[0] - top)[..., None], (places[1] - left)[..., None]
    first = top * width + left
    pixels = image.reshape(-1, 3).astype(np.float32)
    upper = pixels[first] * (1 - right) + pixels[first + 1] * right
    lower = pixels[first + width] * (1 - right) + pixels[first + width + 1] * right
    moved: NDArray[np.uint8] = np.rint(upper * (1 - down) + lower * down).astype(np.uint8)
    return moved


def move_mask(mask: NDArray[np.uint8], places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a mask (H, W) whose class ids are those of the pixels nearest to ``places``."""
    rows, columns = np.rint(places).astype(np.intp)
    return mask[rows, columns]


@lru_cache(maxsize=8)
def _spline_weights(size: int) -> NDArray[np.float64]:
    """Return what each node counts at each pixel of a side, (size, NODES): uniform cubic B-splines, ends repeated."""
    place = (np.arange(size) + 0.5) * ((NODES - 1) / size)
    cell = np.minimum(np.floor(place).astype(int), NODES - 2)
    t = place - cell
    cubic = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    weights = np.zeros((size, NODES))
    for offset in range(4):
        np.add.at(weights, (np.arange(size), np.clip(cell + offset - 1, 0, NODES - 1)), cubic[:, offset])
    weights.setflags(write=False)  # shared through the cache
    return weights
