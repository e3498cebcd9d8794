"""How the reference of a training image is drawn from it: crops, smooth warps, and regions that are erased. Torch-free.

In training the reference is the image itself, so a model always finds in it what a mask asks for, at the same place.
Someone who edits a mask asks for more: an open mouth in the style of an image whose mouth is closed, glasses, a hat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError, LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES = 5
"""Nodes a side, the borders among them, that are moved; places between them follow cubic B-splines."""

WARP_NUMBERS = 1 + 2 * NODES**2
"""Random numbers of a warp: its strength, then how far each node moves."""

STILL = 1 / 3
"""Share of the images that are not warped at all; the strength of the others is spread evenly."""

NEVER_HIDDEN = 3
"""Number of the largest regions that stay: as a rule background, skin and hair, which make the style."""


@dataclass(frozen=True)
class ReferenceAugmentation:
    """How the reference is drawn from its photo; by default it is the photo itself.

    Args:
        crop: smallest side of a random square crop, as a share of the image; 1 crops nothing.
        mirror: whether the reference is mirrored at random, apart from the photo itself.
        hide_regions: probability that each of its smaller regions is filled with its surroundings.
        warp: how far its parts move at most, as a share of the side, up to 0.2; 0 moves nothing.

    Raises:
        ValueError: one of them is out of its range.
    """

    crop: float = 1.0
    mirror: bool = False
    hide_regions: float = 0.0
    warp: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ValueError(f"reference.crop is {self.crop}; it is a share, above 0 and at most 1")
        if not 0 <= self.hide_regions < 1:
            raise ValueError(f"reference.hide_regions is {self.hide_regions}; it is a chance, below 1")
        if not 0 <= self.warp <= 0.2:
            raise ValueError(f"reference.warp is {self.warp}; it is a share of the side, at most 0.2")

    @property
    def is_drawn(self) -> bool:
        """Whether references are images of their own, and not the photos themselves."""
        return self.crop < 1 or self.mirror or self.hide_regions > 0 or self.warp > 0

    def check(self, label_map: LabelMap) -> None:
        """Raise FacekitError where references cannot be drawn from photos of a label map: regions need masks."""
        if self.hide_regions and not label_map.classes:
            raise FacekitError(
                "regions of the reference are hidden by its mask, and the dataset has photos without masks",
                where="data.reference.hide_regions",
                remedy="set it to 0, or take a dataset with masks",
            )


PLAIN = ReferenceAugmentation()
"""The reference is the photo itself."""


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


def chosen_regions(mask: NDArray[np.uint8], chances: NDArray[np.float64], share: float) -> list[int]:
    """Return the classes that are hidden.

    Args:
        mask: class ids (H, W).
        chances: a number in [0, 1) for each class.
        share: how likely each region is hidden, but for the largest ones.
    """
    counts = np.bincount(mask.ravel(), minlength=len(chances))
    # Stable, so that of two regions of one size the same one is the larger everywhere.
    by_size = np.argsort(-counts, kind="stable")
    return [int(region) for region in by_size[NEVER_HIDDEN:] if counts[region] and chances[region] < share]


def hide_regions(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], regions: Sequence[int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return photo and mask in which regions have become part of what surrounds them.

    A hidden region gets the class of the region that it has the longest border with, and the mean colour that this one
    has along the border.

    Args:
        image: the photo (H, W, 3).
        mask: its class ids (H, W).
        regions: the classes to hide, one after the other.
    """
    if not regions:
        return image, mask
    image, mask = image.copy(), mask.copy()
    for region in regions:
        inside = mask == region
        beside = _beside(inside)
        if not beside.any():
            continue  # it fills the image
        surrounding = int(np.bincount(mask[beside]).argmax())
        along = beside & (mask == surrounding)
        image[inside] = image[along].mean(axis=0).round().astype(np.uint8)
        mask[inside] = surrounding
    return image, mask


def _beside(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels above, below, left or right of those inside, without these."""
    near = np.zeros_like(inside)
    near[1:] |= inside[:-1]
    near[:-1] |= inside[1:]
    near[:, 1:] |= inside[:, :-1]
    near[:, :-1] |= inside[:, 1:]
    return near & ~inside
