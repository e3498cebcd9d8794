"""Clear and tinted glasses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facekit.faces.glasses import frame_of_clear_glasses, lenses_of, tinted_glasses
from facekit.interfaces import DatasetContext, LabelMap
from facekit.registry import load_registry

CLEAR, TINTED = (3, 17, 61, 101, 117, 305, 434, 625, 859, 881), (69, 167, 168, 198, 340, 378, 387, 476, 556, 848, 890)
"""Photos of CelebAMask-HQ, labelled by eye."""
NOT_WORN = (24, 257, 763)
"""Sunglasses in the hair."""


@pytest.fixture(scope="module")
def label_map() -> LabelMap:
    return load_registry().label_maps["celebamask_hq"]


@pytest.fixture
def mask(label_map: LabelMap) -> np.ndarray:
    mask = np.zeros((128, 128), np.uint8)
    mask[20:110, 24:104] = label_map.id_of("skin")
    mask[60:78, 58:70] = label_map.id_of("nose")
    mask[46:62, 30:98] = label_map.id_of("eye_g")
    return mask


def photo(mask: np.ndarray, lens: tuple[int, int, int], side: int = 128) -> np.ndarray:
    image = np.full((128, 128, 3), (205, 160, 140), np.uint8)
    image[mask == 3] = lens
    image = np.clip(image + np.random.default_rng(0).integers(-9, 10, image.shape), 0, 255).astype(np.uint8)
    return np.array(Image.fromarray(image).resize((side, side)))


def test_lenses_are_compared_with_the_skin(mask, label_map):
    clear, tinted = (lenses_of(photo(mask, lens), mask, label_map) for lens in ((200, 158, 141), (40, 35, 30)))
    assert (clear.skin > 0.9, clear.tinted) == (True, False)
    assert (tinted.skin < 0.1, tinted.lightness < 0.4, tinted.tinted) == (True, True, True)
    for side in (64, 512):  # photos and masks may differ in size
        assert lenses_of(photo(mask, (40, 35, 30), side), mask, label_map).tinted
    assert tinted_glasses(photo(mask, (30, 60, 160)), mask, label_map)
    assert not tinted_glasses(photo(mask, (225, 190, 175)), mask, label_map)


def test_where_nothing_is_to_be_seen(mask, label_map):
    dark = photo(mask, (40, 35, 30))
    bare = np.where(mask == 3, 1, mask).astype(np.uint8)
    in_the_hair = bare.copy()
    in_the_hair[4:18, 30:98] = 3
    from_the_side = bare.copy()
    from_the_side[50:54, 30:98] = 3
    without_nose = np.where(mask == 2, 1, mask).astype(np.uint8)
    for other in (bare, in_the_hair, from_the_side, without_nose):
        assert lenses_of(dark, other, label_map) is None
        assert not tinted_glasses(dark, other, label_map)


def test_eyes_and_frames_are_no_lens(mask, label_map):
    image = photo(mask, (200, 158, 141))
    image[46:49], image[59:62] = 10, 10
    mask[52:56, 38:52] = label_map.id_of("r_eye")
    image[52:56, 38:52] = 10
    assert lenses_of(image, mask, label_map).skin > 0.9


def test_the_frame_of_clear_glasses(mask, label_map):
    image = photo(mask, (200, 158, 141))
    mask[52:56, 38:52] = label_map.id_of("r_eye")
    image[52:56, 38:52] = 10
    lens = mask == label_map.id_of("eye_g")
    lens[52:56, 38:52] = True
    image[46:49][lens[46:49]] = 10  # a thick bar above, and none of it drawn elsewhere
    frame = frame_of_clear_glasses(image, mask, label_map)
    assert frame[46:49][lens[46:49]].all()
    assert not frame[~lens].any()
    # The eye and the skin behind the lens stay.
    assert not frame[53:55, 40:50].any()
    assert not frame[51:57, 75:90].any()
    assert frame_of_clear_glasses(photo(mask, (40, 35, 30)), mask, label_map) is None
    assert frame_of_clear_glasses(image, np.where(lens, 1, mask).astype(np.uint8), label_map) is None


def test_drawn_glasses():
    """Drawn faces, which the rule was not chosen on."""
    from facekit_datasets.synthetic import draw_face
    from facekit_datasets.synthetic.sampling import sample_parameters

    labels = load_registry().label_maps["celebamask_hq"]
    right = {"sun": [], "clear": []}
    for index in range(300):
        kind = sample_parameters(0, index).accessories.glasses
        if kind != "none":
            face = draw_face(0, index, 128)
            sun = kind == "sun"
            right["sun" if sun else "clear"].append(tinted_glasses(face.image, face.mask, labels) == sun)
    assert min(map(len, right.values())) > 5
    assert np.mean(right["clear"]) == 1.0
    assert np.mean(right["sun"]) > 0.7


@pytest.mark.parametrize("side", [128, 512])
def test_real_glasses(side, real_faces, label_map):
    from facekit_datasets.celebamask_hq import CelebAMaskHQOptions, create

    chosen = ",".join(map(str, (*CLEAR, *TINTED, *NOT_WORN)))
    options = CelebAMaskHQOptions(root=real_faces, split="by_index", train=chosen, validation="", test="", extra="")
    dataset = create(options, DatasetContext())
    for key in (*CLEAR, *TINTED, *NOT_WORN):
        sample = dataset.read(dataset.keys.index(str(key)))
        image = np.asarray(Image.fromarray(sample.image).resize((side, side)))
        assert tinted_glasses(image, sample.mask, label_map) == (key in TINTED), key
