"""Regions of references that are painted over."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.data.reference import chosen_regions, hide_regions

SKIN, MOUTH, HAIR, EYE = 1, 2, 3, 4


def face() -> tuple[np.ndarray, np.ndarray]:
    """Background, a square of skin with mouth and eye in it, and hair above, which touches the eye a little."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:30, 6:26] = SKIN
    mask[4:8, 6:26] = HAIR
    mask[22:26, 12:20] = MOUTH
    mask[8:11, 10:13] = EYE
    colours = np.array([[10, 10, 10], [200, 150, 120], [160, 20, 40], [60, 40, 20], [0, 90, 200]], np.uint8)
    image = colours[mask]
    image[21, 12:20] = (220, 170, 140)  # lighter skin above the mouth
    return image, mask


def test_a_hidden_region_becomes_what_surrounds_it() -> None:
    image, mask = face()
    hidden_image, hidden_mask = hide_regions(image, mask, [MOUTH, EYE])
    inside = (mask == MOUTH) | (mask == EYE)
    assert not np.isin(hidden_mask, [MOUTH, EYE]).any()
    assert (hidden_mask[inside] == SKIN).all(), "the eye has its longest border with skin"
    assert np.array_equal(hidden_mask[~inside], mask[~inside])
    assert np.array_equal(hidden_image[~inside], image[~inside])
    # The mean along the border: 8 lighter pixels above, 8 below and 4 at each side.
    share = 8 / 24
    expected = share * np.array([220, 170, 140]) + (1 - share) * np.array([200, 150, 120])
    assert np.abs(hidden_image[mask == MOUTH].astype(float) - expected).max() <= 0.5
    assert np.array_equal(face()[0], image), "the photo itself is left alone"
    assert np.array_equal(face()[1], mask)


def test_one_after_the_other() -> None:
    image, mask = face()
    mask[23:25, 14:18] = EYE  # within the mouth
    _, hidden = hide_regions(image, mask, [MOUTH, EYE])
    assert not np.isin(hidden, [MOUTH, EYE]).any()


def test_a_region_that_fills_the_picture_stays() -> None:
    image, mask = np.full((4, 4, 3), 7, np.uint8), np.full((4, 4), MOUTH, np.uint8)
    hidden_image, hidden_mask = hide_regions(image, mask, [MOUTH])
    assert np.array_equal(hidden_image, image)
    assert np.array_equal(hidden_mask, mask)
    assert hide_regions(image, mask, [])[0] is image


@pytest.mark.parametrize(("share", "expected"), [(0.0, []), (0.3, [EYE]), (0.99, [MOUTH, EYE])])
def test_which_regions_are_chosen(share: float, expected: list[int]) -> None:
    _, mask = face()
    chances = np.array([0.0, 0.0, 0.5, 0.0, 0.2, 0.0])  # the last class is nowhere to be seen
    assert chosen_regions(mask, chances, share) == expected
