from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from facekit.data.geometry import Box, middle_square, mirror_mask, mirror_photo, resize_mask, resize_photo, same_aspect


def white_where(mask, identity):
    """A photo (h, w, 3) that is white where the mask has a class, and black elsewhere."""
    return np.repeat(np.where(mask == identity, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)


def assert_aligned(seen, wanted, *, scale=1.0):
    """Two silhouettes agree but for a pixel at their edge, and have one centre to within half a pixel.

    A pixel is the coarsest there is: ``scale`` pixels of the result where files were enlarged.
    """
    slack = 1 if scale == 1 else 1 + int(scale)
    assert wanted.any()
    assert not (seen & ~binary_dilation(wanted, iterations=slack)).any()
    assert not (wanted & ~binary_dilation(seen, iterations=slack)).any()
    for axis in (0, 1):
        assert abs(np.nonzero(seen)[axis].mean() - np.nonzero(wanted)[axis].mean()) < 0.5 * scale


@pytest.mark.parametrize("identity", range(1, 5))
@pytest.mark.parametrize(("photo_side", "mask_side"), [(256, 256), (256, 128), (120, 240), (301, 301), (30, 45)])
def test_photo_and_mask_of_any_size_stay_aligned(photo_side, mask_side, identity, make_mask):
    image = resize_photo(white_where(make_mask(photo_side, photo_side), identity), 64)
    mask = resize_mask(make_mask(mask_side, mask_side), 64)
    assert image.shape == (64, 64, 3)
    assert mask.shape == (64, 64)
    assert_aligned(image[:, :, 0] > 127, mask == identity, scale=max(1, 64 / min(photo_side, mask_side)))


@pytest.mark.parametrize("shape", [(100, 160), (160, 100)])
def test_a_picture_that_is_not_square_gives_its_middle(shape, make_mask, make_photo):
    mask = make_mask(*shape)
    top, left = (shape[0] - 100) // 2, (shape[1] - 100) // 2
    middle = mask[top : top + 100, left : left + 100]
    assert np.array_equal(resize_mask(mask, 100), middle)
    assert np.array_equal(resize_photo(make_photo(mask), 100), make_photo(middle))


def test_photos_are_resized_without_aliasing():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255  # the finest pattern there is: an aliased resize would show black or white
    small = resize_photo(stripes, 64).astype(int)
    assert np.abs(small[2:-2, 2:-2] - 127).max() <= 3
    assert np.abs(small - 127).max() <= 16  # at the edge the filter is cut off


def test_masks_hold_no_ids_that_were_not_there():
    mask = np.where(np.random.default_rng(0).random((97, 97)) < 0.5, 3, 17).astype(np.uint8)
    assert set(np.unique(resize_mask(mask, 41))) == {3, 17}
    assert set(np.unique(resize_mask(mask, 200))) == {3, 17}


@pytest.mark.parametrize("identity", range(1, 5))
def test_a_box_is_cut_alike_from_photo_and_mask(identity, make_mask):
    mask = make_mask(128, 128)
    box = Box(17.3, 9.8, 96.5)
    image = resize_photo(white_where(mask, identity), 128, box)
    assert_aligned(image[:, :, 0] > 127, resize_mask(mask, 128, box) == identity)


def test_mirroring_moves_the_left_eye_to_the_right_and_names_it_so(labels):
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 4], mask[1, 0], mask[3, 0] = labels.id_of("left_eye"), labels.id_of("right_eye"), labels.id_of("hair")
    mirrored = mirror_mask(mask, labels.mirror_table())
    assert mirrored[1, 1] == labels.id_of("right_eye")
    assert mirrored[1, 5] == labels.id_of("left_eye")
    assert mirrored[3, 5] == labels.id_of("hair")
    assert np.array_equal(mirror_mask(mirrored, labels.mirror_table()), mask)


def test_mirroring_keeps_photo_and_mask_aligned(make_mask, labels):
    mask = make_mask(64, 64)
    mirrored = mirror_mask(mask, labels.mirror_table())
    for name, name_in_mirror in (("left_eye", "right_eye"), ("right_eye", "left_eye"), ("hair", "hair")):
        image = mirror_photo(white_where(mask, labels.id_of(name)))
        assert np.array_equal(image[:, :, 0] == 255, mirrored == labels.id_of(name_in_mirror))


def test_aspect_allows_a_pixel_of_rounding():
    assert same_aspect((218, 178, 3), (109, 89))
    assert same_aspect((1024, 1024, 3), (512, 512))
    assert same_aspect((333, 500, 3), (67, 100))
    assert not same_aspect((100, 100, 3), (100, 90))
    assert middle_square(178, 218) == (0, 20, 178)
