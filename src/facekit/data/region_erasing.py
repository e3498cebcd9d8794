"""Regions of a reference that are painted over, so that a model learns what to paint where a reference shows none.

In training the reference is the photo itself, so whatever a mask asks for the reference shows too. Who edits a mask
asks for more: an open mouth in the look of a photo whose mouth is closed, glasses, a hat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEVER_HIDDEN = 3
"""So many of the largest regions stay: background, skin and hair, as a rule, of which a look is made."""


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
            continue  # it fills the picture
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
