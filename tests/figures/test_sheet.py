"""Sheets of pictures: everything in its place, headings that fit."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.figures.sheet import GAP, draw_sheet


def _square(value: int, side: int) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.parametrize("titles", [("mask", "result"), ("a", "pix2pixHD (G1 only, 4 blocks) of three words")])
def test_pictures_stand_under_their_headings_and_places_can_stay_empty(titles: tuple[str, str]) -> None:
    side = 48
    columns = [(titles[0], [_square(10, side), _square(20, side)]), (titles[1], [None, _square(40, side)])]
    sheet = np.asarray(draw_sheet(columns, rows=2, side=side))
    top = sheet.shape[0] - 2 * (side + GAP)
    assert sheet.shape[1] == 2 * (side + GAP) + GAP
    first, second = (slice(GAP + column * (side + GAP), GAP + column * (side + GAP) + side) for column in (0, 1))
    above, below = slice(top, top + side), slice(top + side + GAP, top + 2 * side + GAP)
    assert (sheet[above, first] == 10).all()
    assert (sheet[below, first] == 20).all()
    assert (sheet[above, second] == 255).all()
    assert (sheet[below, second] == 40).all()
    # Each heading is written above its own column, and nothing runs over the edges.
    assert (sheet[:top, first] < 200).any()
    assert (sheet[:top, second] < 200).any()
    assert (sheet[:top, -1] == 255).all()
