from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.data.loader import FaceLoader
from facekit.data.reference import WARP_NUMBERS, ReferenceAugmentation, move_mask, move_photo, warped_places


def numbers(seed: int = 0, strength: float = 0.999) -> np.ndarray:
    chances = np.random.default_rng(seed).random(WARP_NUMBERS)
    chances[0] = strength
    return chances


def picture(size: int = 48) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (size, size, 3)).astype(np.uint8)


def test_numbers_in_the_middle_move_nothing():
    places = warped_places(np.full(WARP_NUMBERS, 0.5), 48, 0.1)
    image = picture()
    assert np.array_equal(move_photo(image, places), image)
    assert np.array_equal(move_mask(image[..., 0], places), image[..., 0])


def test_a_third_of_the_images_stays_as_it_is():
    strengths = np.linspace(0, 0.999, 300)
    moves = [np.abs(warped_places(numbers(0, s), 16, 0.1) - np.indices((16, 16))).max() for s in strengths]
    assert np.mean(np.array(moves) == 0) == pytest.approx(1 / 3, abs=0.01)
    assert all(np.diff(moves) >= 0)


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
        packed, packed.rows("train"), batch=4, seed=3, workers=0, reference=ReferenceAugmentation(**reference)
    )


def test_a_warped_reference_is_another_picture_of_the_same_face(packed):
    plain = [loader(packed).batch(step) for step in range(6)]
    warped = [loader(packed, warp=0.2).batch(step) for step in range(6)]
    again = [loader(packed, warp=0.2).batch(step) for step in range(6)]
    still, masks = [], []
    for before, after, repeated in zip(plain, warped, again, strict=True):
        assert torch.equal(before.image, after.image)
        assert torch.equal(before.mask, after.mask)
        assert torch.equal(before.reference.image, before.image)
        assert torch.equal(after.reference.image, repeated.reference.image)
        still += [torch.equal(*pair) for pair in zip(after.image, after.reference.image, strict=True)]
        masks += [torch.equal(*pair) for pair in zip(after.mask, after.reference.mask, strict=True)]
    # Weak warps move photos of 32 pixels before they move a class id.
    assert 0 < sum(still) < 16
    assert sum(still) <= sum(masks) < 20


def test_a_warp_leaves_the_other_chances_as_they_are(packed):
    mirrored = loader(packed, mirror=True, hide_regions=0.3).batch(1)
    both = loader(packed, mirror=True, hide_regions=0.3, warp=0.1).batch(1)
    assert torch.equal(mirrored.image, both.image)
    # The same references are mirrored: moving by a tenth changes less than turning round.
    change = (mirrored.reference.image - both.reference.image).abs().mean((1, 2, 3))
    turned = (mirrored.reference.image.flip(-1) - both.reference.image).abs().mean((1, 2, 3))
    assert bool((change < turned).all())
