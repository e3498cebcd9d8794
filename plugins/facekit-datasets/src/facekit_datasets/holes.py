"""The shapes of holes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facekit.interfaces import LabelMap
from facekit_datasets.options import HoleKind

Shape = NDArray[np.bool_]

_HARMONICS = 5
"""Waves round the outline of a patch."""


class Chances:
    """Numbers in [0, 1), the same in every version of NumPy.

    Args:
        seed: of the dataset.
        photo: number that stands for the photo.
        window: which of its windows.
    """

    def __init__(self, seed: int, photo: int, window: int) -> None:
        key = np.array([seed, photo], dtype=np.uint64)
        self._words = np.random.Philox(key=key, counter=np.array([0, window, 0, 0], dtype=np.uint64))

    def between(self, low: float, high: float) -> float:
        """Return a number from ``low`` on and below ``high``."""
        word = int(self._words.random_raw())
        return low + (high - low) * ((word >> 11) * 2.0**-53)

    def happens(self, share: float) -> bool:
        """Return true with a chance."""
        return self.between(0, 1) < share

    def one_of(self, count: int) -> int:
        """Return one of 0..count-1."""
        return int(self.between(0, count))


class HoleShapes:
    """Draws holes into masks of a label map.

    Args:
        label_map: what the ids of the masks mean. Classes are known by CelebAMask-HQ's names and by those of its merged
            form.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self._ids = {name: number for number, name in enumerate(label_map.names)}

    def draw(self, mask: NDArray[np.uint8], kind: HoleKind, chances: Chances) -> Shape:
        """Return where the hole of a mask (H, W) is, (H, W) bool; a patch where the mask lacks what is to be hidden."""
        hole: Shape | None
        match kind:
            case "mouth":
                hole = self._around(mask, ("mouth", "u_lip", "l_lip"), chances)
            case "nose":
                hole = self._around(mask, ("nose",), chances)
            case "eyes":
                hole = self._eyes(mask, chances)
            case "glasses":
                hole = self._glasses(mask, chances)
            case "hair":
                hole = self._hair(mask, chances)
            case "patch":
                hole = None
        if hole is None or not hole.any():
            hole = self._patch(mask, chances)
        return hole

    def _region(self, mask: NDArray[np.uint8], names: tuple[str, ...]) -> Shape:
        return np.isin(mask, [self._ids[name] for name in names if name in self._ids])

    def _around(self, mask: NDArray[np.uint8], names: tuple[str, ...], chances: Chances) -> Shape | None:
        """Hide a region and what lies around it; as often in an oval as in its own outline, now and then moved."""
        region = self._region(mask, names)
        if not region.any():
            return None
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        extent = max(height, width)
        if chances.happens(0.35):
            # What an edit moves leaves its old place as well.
            down = round(chances.between(-0.35, 0.35) * extent)
            right = round(chances.between(-0.2, 0.2) * extent)
            region = region | np.roll(region, (down, right), (0, 1))
        grown = _grow(region, max(2.0, chances.between(0.03, 0.25) * extent))
        if chances.happens(0.3):
            centre = ((rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2)
            radii = (height * chances.between(0.7, 1.1) + 3, width * chances.between(0.6, 0.9) + 3)
            grown = grown | _oval(mask.shape, centre, radii, chances)
        return grown

    def _eyes(self, mask: NDArray[np.uint8], chances: Chances) -> Shape | None:
        sides = (("l_",), ("r_",), ("l_", "r_"), ("l_", "r_"))[chances.one_of(4)]
        parts = (("eye",), ("eye", "brow"), ("brow",))[chances.one_of(3)]
        names = tuple(f"{side}{part}" for side in sides for part in parts)
        # A merged label map knows no sides.
        return self._around(mask, (*names, *(parts if "eye" in self._ids else ()), "eye_g"), chances)

    def _glasses(self, mask: NDArray[np.uint8], chances: Chances) -> Shape | None:
        """Hide what a pair of glasses would: round both eyes ovals, or their rims, the bridge, and the temples."""
        worn = self._region(mask, ("eye_g",))
        if worn.any():
            return _grow(worn, chances.between(3, 0.05 * mask.shape[1]))
        eyes = self._region(mask, ("l_eye", "r_eye", "eye"))
        found, count = ndimage.label(eyes)
        if count < 2:
            return None
        sizes = np.bincount(found.ravel())[1:]
        two = np.argsort(-sizes, kind="stable")[:2] + 1
        centres = sorted(ndimage.center_of_mass(eyes, found, two), key=lambda place: place[1])
        apart = math.dist(*centres)
        hole = np.zeros(mask.shape, dtype=bool)
        radii = (apart * chances.between(0.3, 0.5), apart * chances.between(0.4, 0.52))
        for centre in centres:
            hole |= _oval(mask.shape, centre, radii, chances)
        if chances.happens(0.5):
            # The frame of clear glasses, behind which the face stays.
            hole &= ndimage.distance_transform_edt(hole) <= chances.between(0.06, 0.2) * apart
        reach = chances.between(0.4, 1.0) * apart
        (top, left), (bottom, right) = centres
        slope = (bottom - top) / max(right - left, 1.0)
        ends = [(top - slope * reach, left - reach), (bottom + slope * reach, right + reach)]
        return hole | _line(mask.shape, ends, chances.between(0.04, 0.12) * apart)

    def _hair(self, mask: NDArray[np.uint8], chances: Chances) -> Shape | None:
        hair = self._region(mask, ("hair",))
        edge = hair & ~ndimage.binary_erosion(hair, iterations=2)
        places = np.argwhere(edge)
        if not len(places):
            return None
        centre = places[chances.one_of(len(places))]
        radius = chances.between(0.06, 0.26) * mask.shape[0]
        return _oval(mask.shape, centre, (radius * chances.between(0.7, 1.6), radius), chances)

    def _patch(self, mask: NDArray[np.uint8], chances: Chances) -> Shape:
        """Hide any place, of the face where there is one: an oval, or a stroke."""
        places = np.argwhere(mask > 0)
        if not len(places):
            places = np.argwhere(mask >= 0)
        centre = places[chances.one_of(len(places))]
        side = mask.shape[0]
        if chances.happens(0.5):
            radius = chances.between(0.04, 0.2) * side
            return _oval(mask.shape, centre, (radius, radius * chances.between(0.6, 1.4)), chances)
        ends = [tuple(centre + chances.between(-0.25, 0.25) * side * np.array([a, b])) for a, b in ((1, 0.3), (0.4, 1))]
        return _line(mask.shape, [tuple(centre), *ends], chances.between(0.012, 0.05) * side)


def _grow(shape: Shape, radius: float) -> Shape:
    grown: Shape = ndimage.distance_transform_edt(~shape) <= radius
    return grown


def _oval(
    size: tuple[int, ...], centre: tuple[float, float] | NDArray, radii: tuple[float, float], chances: Chances
) -> Shape:
    """Return an oval with a wavy outline."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    y, x = (rows - centre[0]) / radii[0], (columns - centre[1]) / radii[1]
    angle = np.arctan2(y, x)
    outline = np.ones(angle.shape)
    for wave in range(2, 2 + _HARMONICS):
        outline += chances.between(-0.25, 0.25) / wave * np.cos(wave * angle + chances.between(0, 2 * math.pi))
    inside: Shape = np.hypot(y, x) <= outline
    return inside


def _line(size: tuple[int, ...], points: Sequence[tuple[float, ...]], thickness: float) -> Shape:
    """Return the places that lie at most ``thickness`` from a line through points (row, column)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    near = np.zeros(size, dtype=bool)
    for (top, left), (bottom, right) in pairwise(points):
        down, across = bottom - top, right - left
        length = max(down * down + across * across, 1e-6)
        along = np.clip(((rows - top) * down + (columns - left) * across) / length, 0, 1)
        near |= np.hypot(rows - top - along * down, columns - left - along * across) <= thickness
    return near
