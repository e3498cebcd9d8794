from __future__ import annotations

import numpy as np
import pytest

from facekit.registry import load_registry
from facekit_studio.editing.local import _hole_of, _parts, _window, mask_at, without_frame


def blob(top: int, left: int, height: int, width: int, side: int = 128) -> np.ndarray:
    shape = np.zeros((side, side), dtype=bool)
    shape[top : top + height, left : left + width] = True
    return shape


def test_a_smaller_mask_takes_the_nearest_pixels():
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert mask_at(mask, 2).tolist() == [[5, 7], [13, 15]]
    assert np.array_equal(mask_at(mask, 4), mask)


def test_a_larger_mask_has_smooth_outlines_and_no_new_classes():
    y, x = np.indices((32, 32))
    mask = np.where((y - 15.5) ** 2 + (x - 15.5) ** 2 < 100, 7, 3).astype(np.uint8)
    large = mask_at(mask, 256)
    assert set(np.unique(large)) == {3, 7}
    y, x = np.indices((256, 256))
    disc = (y - 127.5) ** 2 + (x - 127.5) ** 2 < 80**2
    wrong = (large == 7) != disc
    blocks = (np.kron(mask, np.ones((8, 8))) == 7) != disc
    assert wrong.sum() < 0.6 * blocks.sum()


def test_a_hole_reaches_beyond_the_change_but_not_far():
    hole = _hole_of(blob(50, 40, 20, 30))
    rows, columns = np.nonzero(hole)
    assert (rows.min(), rows.max()) == (48, 71)
    assert (columns.min(), columns.max()) == (38, 71)


def test_far_changes_are_parts_of_their_own():
    assert len(_parts(blob(10, 10, 8, 8) | blob(90, 90, 8, 8))) == 2
    assert len(_parts(blob(10, 10, 8, 8) | blob(18, 18, 8, 8))) == 1


@pytest.mark.parametrize("place", [(0, 0), (50, 60), (108, 108)])
def test_a_window_holds_its_part_and_lies_in_the_square(place):
    part = blob(*place, 20, 16)
    rows, columns = _window(part, 128)
    assert rows.stop - rows.start == columns.stop - columns.start == 36
    assert rows.start >= 0
    assert rows.stop <= 128
    assert part[rows, columns].sum() == part.sum()


def test_the_window_of_a_large_change_is_the_square():
    rows, columns = _window(blob(10, 10, 100, 30), 128)
    assert (rows, columns) == (slice(0, 128), slice(0, 128))


def test_clear_glasses_leave_the_face_behind_them():
    """Drawn glasses on flat skin: the frame goes, the skin and the eye behind the lens stay."""
    labels = load_registry().label_maps["celebamask_hq"]
    before = np.full((128, 128), labels.id_of("skin"), np.uint8)
    before[60:78, 58:70] = labels.id_of("nose")
    before[40:62, 26:102] = labels.id_of("eye_g")
    before[48:53, 38:50] = labels.id_of("r_eye")
    photo = np.full((128, 128, 3), (205, 160, 140), np.uint8)
    photo[40:44, 26:102] = photo[58:62, 26:102] = 10
    wanted = np.where(before == labels.id_of("eye_g"), labels.id_of("skin"), before).astype(np.uint8)
    wanted[48:53, 76:88] = labels.id_of("l_eye")  # drawn by the edit, which knows the mask alone
    seen = without_frame(photo, before, wanted, before != wanted, labels)
    assert seen.changed[40:44, 30:98].all()
    assert not seen.changed[47:54, 30:98].any()
    assert seen.stays[49:52, 40:48].all()
    assert seen.stays[50:52, 60:90].all()
    assert (seen.wanted[48:53, 76:88] == labels.id_of("skin")).all()
    # Dark lenses hide the face, and another edit of the same face leaves the glasses on.
    dark = np.where((before == labels.id_of("eye_g"))[..., None], np.uint8(30), photo)
    assert without_frame(dark, before, wanted, before != wanted, labels) is None
    moved = np.where(before == labels.id_of("r_eye"), labels.id_of("skin"), before).astype(np.uint8)
    assert without_frame(photo, before, moved, before != moved, labels) is None
