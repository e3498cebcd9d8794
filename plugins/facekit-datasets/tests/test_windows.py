from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from facekit.interfaces import HOLE, DatasetContext, FacekitError, PortContext
from facekit.testing import DatasetContract
from facekit_datasets import synthetic_faces
from facekit_datasets.holes import Chances, HoleShapes
from facekit_datasets.label_maps import CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED
from facekit_datasets.options import WindowOptions
from facekit_datasets.plugin import facekit_components
from facekit_datasets.windows import WindowDataset

SPEC = next(spec for spec in facekit_components() if spec.name == "synthetic_faces")
FACES = {"train": 3, "validation": 2, "test": 2, "attributes": []}


class TestWindowsOfDrawnFaces(DatasetContract):
    spec = SPEC
    options = {**FACES, "windows": {"per_photo": 2, "held_out": 1}}
    other_options = {"windows": {"per_photo": 2, "held_out": 1, "seed": 1}}
    label_maps = (CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED)


def windows(**options):
    chosen = synthetic_faces.SyntheticFacesOptions(**FACES, windows=WindowOptions(**options))
    return synthetic_faces.create(chosen, DatasetContext({}))


def faces():
    return synthetic_faces.create(synthetic_faces.SyntheticFacesOptions(**FACES), DatasetContext({}))


def test_each_photo_has_windows_in_its_own_split():
    data = windows(per_photo=4, held_out=1)
    assert {split: len(members) for split, members in data.splits().items()} == {
        "train": 12,
        "validation": 2,
        "test": 2,
    }
    assert data.keys[5] == "train-00001-window-001"
    assert len(set(data.keys)) == len(data.keys)


def test_a_window_is_a_part_of_its_photo_with_a_hole_inside():
    data, whole = windows(per_photo=6), faces().read(1)
    for number in range(6, 12):
        sample = data.read(number, size=64)
        side = sample.mask.shape[0]
        found = [
            (top, left)
            for top in range(512 - side + 1)
            for left in range(512 - side + 1)
            if np.array_equal(whole.image[top, left : left + side], sample.image[0])
        ]
        assert any(
            np.array_equal(whole.image[top : top + side, left : left + side], sample.image)
            and np.array_equal(whole.mask[top : top + side, left : left + side], sample.mask)
            for top, left in found
        )
        hole = sample.extra[HOLE.name]
        assert hole.shape == (1, 64, 64)
        assert hole.dtype == bool
        assert 0 < hole.mean() < 0.6


@pytest.mark.parametrize("kind", ["mouth", "eyes", "glasses", "nose", "hair"])
def test_a_hole_hides_what_its_kind_says(kind):
    face = faces().read(3)
    ids = {name: number for number, name in enumerate(CELEBAMASK_HQ.names)}
    named = {
        "mouth": ("mouth", "u_lip", "l_lip"),
        "eyes": ("l_eye", "r_eye", "l_brow", "r_brow"),
        "glasses": ("l_eye", "r_eye"),
        "nose": ("nose",),
        "hair": ("hair",),
    }[kind]
    region = np.isin(face.mask, [ids[name] for name in named])
    shares = []
    for window in range(8):
        hole = HoleShapes(CELEBAMASK_HQ).draw(face.mask, kind, Chances(0, 1, window))
        assert hole.any()
        shares.append((hole & region).sum() / region.sum())
    if kind in ("eyes", "hair"):  # one eye of two, a piece of the hair
        assert min(shares) > 0
        assert len(set(shares)) > 1
    elif kind == "glasses":  # whole glasses, or frames that show the eyes
        assert {share > 0.85 for share in shares} == {True, False}
        assert min(shares) < 0.8
    else:
        assert min(shares) == 1


def test_holes_of_a_merged_label_map_are_those_of_the_full_one():
    face = faces().read(0)
    merged = CELEBAMASK_HQ_MERGED.merge_table(CELEBAMASK_HQ)[face.mask]
    for kind in ("mouth", "glasses", "hair", "patch"):
        one = HoleShapes(CELEBAMASK_HQ).draw(face.mask, kind, Chances(0, 1, 2))
        assert np.array_equal(one, HoleShapes(CELEBAMASK_HQ_MERGED).draw(merged, kind, Chances(0, 1, 2)))


def test_a_photo_without_the_region_gets_a_patch():
    mask = np.ones((64, 64), np.uint8)
    for kind in ("mouth", "eyes", "glasses", "nose", "hair"):
        hole = HoleShapes(CELEBAMASK_HQ).draw(mask, kind, Chances(0, 1, 2))
        assert hole.any()
        assert not hole.all()


def test_the_seed_and_the_number_of_a_window_decide():
    first, second = windows(per_photo=2), windows(per_photo=2, seed=1)
    assert np.array_equal(first.read(0, size=64).image, windows(per_photo=2).read(0, size=64).image)
    assert not np.array_equal(first.read(0).mask, first.read(1).mask)
    assert not np.array_equal(first.read(0).mask, second.read(0).mask)
    assert first.fingerprint() != second.fingerprint()
    assert first.fingerprint() != faces().fingerprint()


def test_a_mirrored_hole_is_mirrored():
    data = windows(per_photo=1)
    extra = data.read(0, size=32).extra
    mirrored = data.mirror_extra(extra)
    assert np.array_equal(mirrored[HOLE.name], extra[HOLE.name][..., ::-1])
    assert np.array_equal(data.mirror_extra(mirrored)[HOLE.name], extra[HOLE.name])


def test_only_windows_give_holes():
    context = PortContext(64, {CELEBAMASK_HQ.name: CELEBAMASK_HQ})
    whole = synthetic_faces.ports(synthetic_faces.SyntheticFacesOptions(**FACES), context)
    cut = synthetic_faces.ports(synthetic_faces.SyntheticFacesOptions(**FACES, windows=WindowOptions()), context)
    assert HOLE not in whole.gives
    assert HOLE in cut.gives


def test_photos_without_masks_have_no_windows():
    @dataclasses.dataclass
    class NoMasks:
        label_map: tuple = ()

    with pytest.raises(FacekitError, match="has none"):
        WindowDataset(NoMasks(), WindowOptions())


@pytest.mark.parametrize(
    "wrong", [{"holes": {"mouth": 0}}, {"holes": {"mouth": -1, "nose": 2}}, {"holes": {}}, {"context": (2, 1.5)}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=r"holes|context"):
        WindowOptions(**wrong)
