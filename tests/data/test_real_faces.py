"""The data room on real CelebAMask-HQ photos; skipped where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.data.cache import prepare
from facekit.data.checks import check_dataset
from facekit.data.loader import FaceLoader
from facekit.data.preview import write_preview
from facekit.interfaces import DatasetContext
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions, create


@pytest.fixture
def few(real_faces):
    options = CelebAMaskHQOptions(
        root=real_faces, split="by_index", train="0-19", validation="20-24", test="25-29", extra=""
    )
    return create(options, DatasetContext())


def test_real_photos_pack_and_load(few, tmp_path):
    packed = prepare(few, size=64, cache=tmp_path)
    assert {split: len(rows) for split, rows in packed.splits.items()} == {"train": 20, "validation": 5, "test": 5}
    masks = np.asarray(packed.masks)
    assert masks.max() <= 18
    # Skin is brighter in red than in blue in nearly every photo: photo and mask belong together.
    skin = np.asarray(packed.images)[masks == packed.label_map.id_of("skin")].astype(float).mean(axis=0)
    assert skin[0] > skin[1] > skin[2]
    batch = FaceLoader(packed, packed.rows("train"), batch=4, seed=0, mirror=True).batch(0)
    assert batch.image.shape == (4, 3, 64, 64)
    assert batch.attributes.shape == (4, len(few.attribute_names))


def test_eyes_stay_on_their_side(few, tmp_path):
    packed = prepare(few, size=64, cache=tmp_path)
    left, right = packed.label_map.id_of("l_eye"), packed.label_map.id_of("r_eye")

    def left_is_on_the_right(mask):
        return np.nonzero(mask == left)[1].mean() > np.nonzero(mask == right)[1].mean()

    own = dict(zip(packed.keys, packed.masks, strict=True))
    batch = FaceLoader(packed, packed.rows("train"), batch=20, seed=0, mirror=True).batch(0)
    sides, mirrored = [], 0
    for key, mask in zip(batch.keys, batch.mask.numpy(), strict=True):
        if (mask == left).any() and (mask == right).any():
            # The person's own left is on the right of the picture, and in a mirror too once the names have swapped.
            sides.append(left_is_on_the_right(mask))
            assert sides[-1] == left_is_on_the_right(own[key])
            mirrored += not np.array_equal(mask, own[key])
    assert all(sides)
    assert 3 < mirrored < len(sides) - 3


def test_exchanged_sides_are_repaired_on_reading(real_faces):
    """The annotators exchanged the sides of 4, 46 and 47, and the one ear of 510."""
    chosen = {"split": "by_index", "train": "0-9,46-47,510", "validation": "", "test": "", "extra": ""}

    def opened(sides):
        return create(CelebAMaskHQOptions(root=real_faces, sides=sides, **chosen), DatasetContext())

    repaired, kept = check_dataset(opened("repair"), workers=1), check_dataset(opened("keep"), workers=1)
    assert repaired.repairs == {"exchanged sides": ("4", "46", "47", "510")}
    assert not any("exchanged" in finding.message for finding in repaired.findings)
    assert kept.repairs == {}
    exchanged = [finding for finding in kept.findings if "exchanged" in finding.message]
    assert [finding.where for finding in exchanged] == ["sample 4", "sample 46", "sample 47", "sample 510"]
    assert "l_ear and r_ear; " in exchanged[3].message
    assert "eye" not in exchanged[3].message


def test_a_scaled_decode_is_as_good_as_a_full_one(few):
    from facekit.data.geometry import resize_photo

    for index in range(5):
        full, scaled = few.read(index).image, few.read(index, size=64).image
        assert scaled.shape[0] < full.shape[0]
        difference = np.abs(resize_photo(full, 64).astype(int) - resize_photo(scaled, 64))
        assert difference.mean() < 1.0


def test_real_photos_are_sound_and_can_be_shown(few, tmp_path):
    report = check_dataset(few)
    assert report.errors == ()
    assert report.photo_sizes == {(512, 512): 30}
    assert report.classes[1].images == 30
    assert write_preview(few, tmp_path / "sheet.png", count=4, size=48).stat().st_size > 1000
