"""Pasting an edit back: what changes, what must not, and that no seam shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.compositing import paste_back

SIDE = 64


def picture(seed: int, height: int = 96, width: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def block(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    changed = np.zeros((SIDE, SIDE), bool)
    changed[top:bottom, left:right] = True
    return changed


PLACEMENT = Placement((20.0, 10.0), (70.0, 0.0))


def test_without_a_change_nothing_is_touched() -> None:
    photo = picture(0)
    composite = paste_back(photo, picture(1, SIDE, SIDE), PLACEMENT, changed=np.zeros((SIDE, SIDE), bool))
    assert np.array_equal(composite.photo, photo)
    assert not composite.touched.any()
    assert composite.photo is not photo


def test_untouched_pixels_are_identical() -> None:
    photo = picture(0)
    composite = paste_back(photo, picture(1, SIDE, SIDE), PLACEMENT, changed=block(20, 40, 20, 40))
    assert np.array_equal(composite.photo[~composite.touched], photo[~composite.touched])
    assert (composite.photo[composite.touched] != photo[composite.touched]).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    box=st.tuples(st.integers(0, 60), st.integers(1, 40), st.integers(0, 60), st.integers(1, 40)),
    origin=st.tuples(st.floats(-60, 110), st.floats(-60, 90)),
    right=st.tuples(st.floats(-90, 90), st.floats(-90, 90)).filter(lambda side: np.hypot(*side) > 4),
    feather=st.sampled_from([0.0, 0.02, 0.04, 0.2]),
)
def test_what_lies_far_from_the_change_stays(
    seed: int,
    box: tuple[int, int, int, int],
    origin: tuple[float, float],
    right: tuple[float, float],
    feather: float,
) -> None:
    photo, changed = picture(seed), block(box[0], box[0] + box[1], box[2], box[2] + box[3])
    placement = Placement(origin, right)
    composite = paste_back(photo, picture(seed + 1, SIDE, SIDE), placement, changed=changed, feather=feather)
    assert composite.photo.dtype == np.uint8
    assert composite.photo.shape == photo.shape
    assert np.array_equal(composite.photo[~composite.touched], photo[~composite.touched])
    # Independent of the code: the distance of each photo pixel to the changed pixels, in the square.
    places = placement.positions(SIDE, top=0, left=0, height=96, width=120)
    spots = np.argwhere(changed)
    distance = np.stack(
        [np.abs(places[0] - r) ** 2 + np.abs(places[1] - c) ** 2 for r, c in spots[:: max(1, len(spots) // 60)]]
    )
    reach = max(feather * SIDE, 1.0) + 1.5 + np.sqrt(max(1, len(spots) // 60)) * max(box[1], box[3])
    assert not composite.touched[np.sqrt(distance.min(0)) > reach].any()


def test_inside_the_change_the_painting_shows() -> None:
    photo = np.full((96, 120, 3), 100, np.uint8)
    generated = np.full((SIDE, SIDE, 3), 100, np.uint8)
    generated[28:32, 28:32] = (255, 0, 0)
    composite = paste_back(photo, generated, Placement((20.0, 10.0), (64.0, 0.0)), changed=block(20, 40, 20, 40))
    assert composite.photo[10 + 30, 20 + 30].tolist() == [255, 0, 0]  # the square lies pixel on pixel
    assert composite.photo[10 + 22, 20 + 22].tolist() == [100, 100, 100]


def test_a_painting_in_other_light_leaves_no_seam() -> None:
    rows, columns = np.indices((96, 120))
    photo = np.stack([60 + columns, 80 + rows, 100 + 0 * rows], -1).astype(np.uint8)
    placement = Placement((20.0, 10.0), (64.0, 0.0))
    # The same picture, everywhere 40 darker: a model that generated with too little light.
    generated = (photo[10:74, 20:84].astype(int) - 40).astype(np.uint8)
    composite = paste_back(photo, generated, placement, changed=block(16, 48, 16, 48))
    assert np.abs(composite.photo.astype(int) - photo).max() <= 2


def test_a_square_in_the_photo_fades_at_its_sides() -> None:
    photo = np.full((96, 120, 3), 50, np.uint8)
    generated = np.full((SIDE, SIDE, 3), 50, np.uint8)
    generated[:, ::2] = 90  # stripes: the membrane cannot explain them away
    composite = paste_back(photo, generated, PLACEMENT, changed=np.ones((SIDE, SIDE), bool), feather=0.2)
    steps = np.abs(np.diff(composite.photo[..., 0].astype(int), axis=1))
    assert steps[30, 19:22].max() < 8  # at the square's side
    assert steps[30, 50:60].max() > 15  # in its middle the stripes stand


def test_a_whole_photo_is_replaced_to_its_border() -> None:
    photo, generated = picture(0, 64, 64), picture(1, 64, 64)
    composite = paste_back(photo, generated, Placement.whole(64, 64), changed=np.ones((SIDE, SIDE), bool))
    assert composite.touched.all()
    # Without an edge to match, only the mean colour is.
    shift = photo.reshape(-1, 3).mean(0) - generated.reshape(-1, 3).mean(0)
    expected = np.clip(np.rint(generated + shift), 0, 255)
    assert np.abs(composite.photo.astype(int) - expected).max() <= 1


def test_a_square_beside_the_photo_changes_nothing() -> None:
    photo = picture(0)
    composite = paste_back(
        photo, picture(1, 64, 64), Placement((500.0, 0.0), (64.0, 0.0)), changed=np.ones((64, 64), bool)
    )
    assert np.array_equal(composite.photo, photo)


@pytest.mark.parametrize("side", [32, 128])
def test_the_painting_may_be_finer_than_the_mask(side: int) -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    generated = np.zeros((side, side, 3), np.uint8)
    generated[side // 2 :] = 200
    composite = paste_back(photo, generated, Placement.whole(64, 64), changed=np.ones((SIDE, SIDE), bool))
    column = composite.photo[:, 30, 0].astype(int)
    assert abs(int(np.argmax(np.diff(column))) - 31) <= 1


@pytest.mark.parametrize("side", [40, 64, 150])
def test_a_whole_photo_is_touched_to_its_border_at_any_size(side: int) -> None:
    photo = np.zeros((side, side, 3), np.uint8)
    composite = paste_back(photo, picture(1, 64, 64), Placement.whole(side, side), changed=np.ones((64, 64), bool))
    assert composite.touched.all()
