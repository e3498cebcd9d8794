"""Copies of a photo: re-encoded, re-sized, in other tones, mirrored, or cropped a little differently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facekit.faces.colour import LUMA

# SciPy is imported where it is used: a prepared cache is opened, and a grid planned, without.

if TYPE_CHECKING:
    from numpy.typing import NDArray

THUMBNAIL_SIDE = 32
"""Side of the thumbnails that photos are compared by."""

CLOSE_LEVELS = 8.0
"""Two photos are copies whose colours at 8 x 8 places differ by less, in levels (0 to 255) on average. CelebA's and
CelebA-HQ's crops of one photo differ by 2 to 8, other photos by 12 and more."""

CLOSE_PATTERN = 0.25
"""Two photos are copies whose patterns of light and dark are less apart (1 minus correlation, 0 to 2). Copies of 150
photos of CelebAMask-HQ are at most 0.243 apart: the worst of 22 changes of tone, size, encoding and crop (1 or 2 of 128
pixels) is a brightness of 1.4, which clips. Different ones of 900 photos are 0.386 and more apart."""

_SCALE = 1.5  # pixels of a thumbnail: what is finer than this is compared
_FLOOR = 0.02  # share of the range of ranks: fainter patterns count less
_SHIFT = 1  # pixels of a thumbnail that crops may differ by
_LEVEL_PLACES = 8
_CHUNK = 512


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle square of an image (H, W, 3) uint8 at 32 x 32 places, (32, 32, 3) uint8."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(square.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))


class KnownPhotos:
    """Photos among which copies of others are found.

    Levels of brightness are compared by rank, each place with its surroundings, so neither tone nor contrast matters;
    colours are ignored but for photos that are close in all levels. Crops may differ by a thirty-second of the side.

    Args:
        thumbnails: what :func:`thumbnail` returned for each, (M, 32, 32, 3) uint8.
    """

    def __init__(self, thumbnails: NDArray[np.uint8]) -> None:
        parts = [thumbnails[start : start + _CHUNK] for start in range(0, len(thumbnails), _CHUNK)]
        self._parts = [(_levels(part), _patterns(part)) for part in parts]

    def copies(self, thumbnails: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
        """Yield the rows of other photos (N, 32, 32, 3) and of these that show the same photo, by rising rows."""
        from scipy.spatial.distance import cdist

        if not self._parts:
            return
        for start in range(0, len(thumbnails), _CHUNK):
            part = thumbnails[start : start + _CHUNK]
            levels, patterns = _levels(part), _patterns(part)
            same = [
                (cdist(levels, known_levels, "cityblock") < CLOSE_LEVELS * levels.shape[1])
                | (_distances(patterns, known_patterns) < CLOSE_PATTERN)
                for known_levels, known_patterns in self._parts
            ]
            for row, known in np.argwhere(np.concatenate(same, axis=1)):
                yield start + int(row), int(known)


def pattern_distances(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how far apart the patterns of thumbnails are, (N, M) in [0, 2]; the best of shifts and of mirroring."""
    return _distances(_patterns(ours), _patterns(theirs))


def _levels(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the colours (N, 8 * 8 * 3) at 8 x 8 places."""
    step = THUMBNAIL_SIDE // _LEVEL_PLACES
    places = thumbnails.reshape(len(thumbnails), _LEVEL_PLACES, step, _LEVEL_PLACES, step, 3)
    return places.mean(axis=(2, 4), dtype=np.float64).reshape(len(thumbnails), -1)


def _patterns(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each place's rank of brightness beside its surroundings, (N, 32, 32)."""
    from scipy import stats

    brightness = thumbnails.astype(np.float64) @ np.array(LUMA)
    ranks = stats.rankdata(brightness.reshape(len(thumbnails), -1), axis=1) / THUMBNAIL_SIDE**2
    ranks = ranks.reshape(brightness.shape)
    fine = ranks - _blurred(ranks)
    return (fine / (np.sqrt(_blurred(fine**2)) + _FLOOR)).astype(np.float32)


def _blurred(images: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy import ndimage

    blurred: NDArray[np.float64] = ndimage.gaussian_filter(images, (0, _SCALE, _SCALE), mode="nearest")
    return blurred


def _distances(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    middle = _window(ours, 0, 0)
    shifts = range(-_SHIFT, _SHIFT + 1)
    nearest = np.full((len(ours), len(theirs)), 2, np.float32)
    for other in (theirs, theirs[:, :, ::-1]):
        for down in shifts:
            for right in shifts:
                np.minimum(nearest, 1 - middle @ _window(other, down, right).T, out=nearest)
    return nearest


def _window(patterns: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Return the middle of patterns, moved, as rows of mean 0 and length 1; zeros where there is no pattern."""
    rows, columns = (slice(_SHIFT + by, THUMBNAIL_SIDE - _SHIFT + by) for by in (down, right))
    flat = patterns[:, rows, columns].reshape(len(patterns), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-6, length, 1)
