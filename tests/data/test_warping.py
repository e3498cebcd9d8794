from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.data import FaceLoader
from facekit.data.warping import WARP_NUMBERS, move_mask, move_photo, warped_places
from facekit.recipe.settings import ReferenceSettings


def numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(WARP_NUMBERS)


def picture(size: int = 48) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (size, size, 3)).astype(np.uint8)


def test_numbers_in_the_middle_move_nothing():
    places = warped_places(np.full(WARP_NUMBERS, 0.5), 48, 0.1)
    image = picture()
    assert np.array_equal(move_photo(image, places), image)
    assert np.array_equal(move_mask(image[..., 0], places), image[..., 0])


@pytest.mark.parametrize("furthest", [0.02, 0.1, 0.2])
def test_no_place_moves_further_than_allowed(furthest):
    places = warped_places(numbers(), 64, furthest)
    moved = np.abs(places - np.indices((64, 64)))
    assert 0.2 * furthest * 64 < moved.max() <= furthest * 64


def test_a_warp_is_smooth_and_folds_nothing():
    places = warped_places(numbers(3), 128, 0.1)
    assert np.diff(places[0], axis=0).min() >= 0
    assert np.diff(places[1], axis=1).min() >= 0


def test_photo_and_mask_move_together():
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:30] = 7
    photo = np.repeat((mask * 30)[..., None], 3, axis=2)
    places = warped_places(numbers(1), 64, 0.1)
    moved_mask, moved_photo = move_mask(mask, places), move_photo(photo, places)
    assert not np.array_equal(moved_mask, mask)
    # Between pixels the photo is mixed, so only whole colours are compared.
    whole = np.isin(moved_photo[..., 0], (0, 210))
    assert whole.mean() > 0.9
    assert np.array_equal(moved_photo[..., 0][whole] == 210, moved_mask[whole] == 7)


def loader(packed, **reference):
    return FaceLoader(
        packed, packed.rows("train"), batch=4, seed=3, workers=0, reference=ReferenceSettings(**reference)
    )


def test_a_warped_reference_is_another_picture_of_the_same_face(packed):
    plain, warped = loader(packed).batch(2), loader(packed, warp=0.15).batch(2)
    assert torch.equal(plain.image, warped.image)
    assert torch.equal(plain.mask, warped.mask)
    assert torch.equal(plain.reference.image, plain.image)
    assert not torch.equal(warped.reference.image, warped.image)
    assert not torch.equal(warped.reference.mask, warped.mask)
    again = loader(packed, warp=0.15).batch(2)
    assert torch.equal(again.reference.image, warped.reference.image)


def test_a_warp_leaves_the_other_chances_as_they_are(packed):
    mirrored = loader(packed, mirror=True, hide_regions=0.3).batch(1)
    both = loader(packed, mirror=True, hide_regions=0.3, warp=0.1).batch(1)
    assert torch.equal(mirrored.image, both.image)
    # The same references are mirrored: moving by a tenth changes less than turning round.
    change = (mirrored.reference.image - both.reference.image).abs().mean((1, 2, 3))
    turned = (mirrored.reference.image.flip(-1) - both.reference.image).abs().mean((1, 2, 3))
    assert bool((change < turned).all())
