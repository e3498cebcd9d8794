"""Left and right of a face, and masks in which they are exchanged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from facekit.faces.sides import exchange_sides, exchanged_sides
from facekit.interfaces import NO_LABELS, LabelMap
from facekit.registry import load_registry

EYES, BROWS, EARS = PAIRS = (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear"))
PLACES = {
    "skin": (slice(16, 112), slice(32, 96)),
    "nose": (slice(58, 74), slice(58, 70)),
    "r_eye": (slice(48, 53), slice(42, 54)),
    "l_eye": (slice(48, 53), slice(74, 86)),
    "r_brow": (slice(40, 43), slice(40, 54)),
    "l_brow": (slice(40, 43), slice(74, 88)),
    "r_ear": (slice(48, 70), slice(26, 32)),
    "l_ear": (slice(48, 70), slice(96, 102)),
    "mouth": (slice(88, 92), slice(54, 74)),
}


@pytest.fixture(scope="module")
def label_map() -> LabelMap:
    return load_registry().label_maps["celebamask_hq"]


@pytest.fixture
def face(label_map: LabelMap) -> np.ndarray:
    mask = np.zeros((128, 128), np.uint8)
    for name, place in PLACES.items():
        mask[place] = label_map.id_of(name)
    return mask


def without(mask: np.ndarray, label_map: LabelMap, *names: str) -> np.ndarray:
    return np.where(np.isin(mask, label_map.ids_of(names)), label_map.id_of("skin"), mask).astype(np.uint8)


def test_right_sides_are_left_alone(face, label_map):
    assert exchanged_sides(face, label_map) == ()
    for names in (("r_ear",), ("l_ear", "l_brow"), ("r_eye", "r_brow", "r_ear"), ("l_eye", "r_eye"), ("nose", "l_ear")):
        assert exchanged_sides(without(face, label_map, *names), label_map) == ()


@pytest.mark.parametrize("pairs", [PAIRS, (EARS,), (EYES, BROWS), (EYES,)])
def test_exchanged_pairs_are_found_each_for_itself(pairs, face, label_map):
    wrong = exchange_sides(face, label_map, pairs)
    assert exchanged_sides(wrong, label_map) == pairs
    assert np.array_equal(exchange_sides(wrong, label_map, pairs), face)


def test_a_mirrored_mask_whose_names_did_not_change(face, label_map):
    assert exchanged_sides(face[:, ::-1].copy(), label_map) == PAIRS


@pytest.mark.parametrize("angle", [-80, -30, 30, 80])
@pytest.mark.parametrize("pairs", [(), PAIRS])
def test_the_tilt_of_the_head_changes_nothing(angle, pairs, face, label_map):
    tilted = ndimage.rotate(exchange_sides(face, label_map, pairs), angle, order=0, reshape=False)
    assert exchanged_sides(tilted, label_map) == pairs


def test_a_single_ear_is_judged_by_the_nose(face, label_map):
    wrong = exchange_sides(without(face, label_map, "r_ear"), label_map, PAIRS)
    assert exchanged_sides(wrong, label_map) == PAIRS
    assert exchanged_sides(without(wrong, label_map, "nose"), label_map) == (EYES, BROWS)  # nothing to tell it by


def test_a_single_eye_follows_the_others_only(face, label_map):
    profile = without(face, label_map, "r_eye", "r_brow", "r_ear", "mouth")
    profile[88:92, 64:84] = label_map.id_of("mouth")  # seen from the side, the mouth lies below the one eye
    wrong = exchange_sides(profile, label_map, PAIRS)
    assert exchanged_sides(wrong, label_map) == PAIRS
    assert exchanged_sides(without(wrong, label_map, "r_ear"), label_map) == ()  # eye and brow alone are in doubt
    contradicting = exchange_sides(without(face, label_map, "r_eye"), label_map, (EYES, EARS))
    assert exchanged_sides(contradicting, label_map) == (EARS,)  # the brows are right, so the eye may be


def test_eyes_that_lie_close_together_are_in_doubt(label_map):
    mask = np.full((64, 64), label_map.id_of("skin"), np.uint8)
    mask[20:22, 30:32], mask[20:22, 33:35] = label_map.id_of("l_eye"), label_map.id_of("r_eye")
    assert exchanged_sides(mask, label_map) == ()


def test_masks_without_sides(label_map):
    assert exchanged_sides(np.zeros((8, 8), np.uint8), label_map) == ()
    assert exchanged_sides(np.zeros((0, 0), np.uint8), label_map) == ()
    assert exchanged_sides(np.zeros((8, 8), np.uint8), NO_LABELS) == ()
    merged = load_registry().label_maps["celebamask_hq_merged"]
    assert exchanged_sides(np.full((8, 8), merged.id_of("eye"), np.uint8), merged) == ()


def test_ids_outside_the_label_map_change_nothing(face, label_map):
    face[0, 0] = 200
    assert exchanged_sides(face, label_map) == ()
    assert exchange_sides(face, label_map, PAIRS)[0, 0] == 200
