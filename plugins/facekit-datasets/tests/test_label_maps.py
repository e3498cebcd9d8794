"""Masks of CelebAMask-HQ's classes in merged forms of its label map."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.interfaces import DatasetContext, FacekitError, LabelClass, LabelMap
from facekit.testing import DatasetContract
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions
from facekit_datasets.celebamask_hq import create as create_celebamask_hq
from facekit_datasets.label_maps import CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED
from facekit_datasets.plugin import facekit_components
from facekit_datasets.synthetic_faces import SyntheticFacesOptions
from facekit_datasets.synthetic_faces import create as create_synthetic_faces

TWO = LabelMap(
    "hair_or_not",
    (LabelClass("rest", (0, 0, 0)), LabelClass("hair", (90, 60, 140))),
    of="celebamask_hq",
    merges=tuple((name, "rest") for name in CELEBAMASK_HQ.names if name != "hair"),
)
"""A label map of another plugin."""

STRANGER = LabelMap("stripes", (LabelClass("a", (0, 0, 0)),))
HALF = LabelMap("half", (LabelClass("hair", (0, 0, 0)),), of="celebamask_hq")
CONTEXT = DatasetContext({each.name: each for each in (CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED, TWO, STRANGER, HALF)})


def drawn(**options):
    options = {"train": 3, "validation": 1, "test": 1, "attributes": [], **options}
    return create_synthetic_faces(SyntheticFacesOptions(**options), CONTEXT)


@pytest.fixture
def annotated(celebamask_hq):
    def open_it(**options):
        options = {"train": "0-5", "validation": "6,7", "test": "8-9", "extra": "2000", **options}
        return create_celebamask_hq(CelebAMaskHQOptions(root=celebamask_hq, **options), CONTEXT)

    return open_it


@pytest.mark.parametrize("label_map", [CELEBAMASK_HQ_MERGED, TWO], ids=lambda each: each.name)
def test_masks_are_those_of_the_finer_map_merged(annotated, label_map):
    table = label_map.merge_table(CELEBAMASK_HQ)
    for open_it in (drawn, annotated):
        plain, merged = open_it(), open_it(label_map=label_map.name)
        assert plain.label_map is CELEBAMASK_HQ
        assert merged.label_map is label_map
        for index in range(3):
            before, after = plain.read(index, size=48), merged.read(index, size=48)
            assert np.array_equal(after.image, before.image)
            assert np.array_equal(after.mask, table[before.mask])
            assert after.mask.dtype == np.uint8


def test_both_eyes_are_one_class(annotated):
    eye = CELEBAMASK_HQ_MERGED.id_of("eye")
    mask = annotated(label_map="celebamask_hq_merged").read(0).mask
    assert (mask[11, 15], mask[11, 8]) == (eye, eye)  # left and right, as the fixture draws them
    assert (mask[3, 10], mask[15, 15]) == (CELEBAMASK_HQ_MERGED.id_of("hair"), CELEBAMASK_HQ_MERGED.id_of("skin"))


def test_the_fingerprint_changes_with_the_label_map_and_with_what_it_merges(annotated):
    for open_it in (drawn, annotated):
        names = ("celebamask_hq", "celebamask_hq_merged", "hair_or_not")
        prints = {open_it(label_map=name).fingerprint() for name in names}
        assert len(prints) == 3
        assert open_it(label_map="celebamask_hq").fingerprint() == open_it().fingerprint()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("celebamask", "no plugin offers the label map 'celebamask'"),
        ("stripes", "cannot be given in 'stripes': label map 'stripes' is no merged form of 'celebamask_hq'"),
        ("half", "cannot be given in 'half': label map 'half': 'celebamask_hq' has 'background', 'skin'"),
    ],
)
def test_label_maps_that_do_not_fit_are_told(annotated, name, said):
    for open_it in (drawn, annotated):
        with pytest.raises(FacekitError) as caught:
            open_it(label_map=name)
        assert said in caught.value.message
        assert caught.value.where == "label_map"
        assert "celebamask_hq" in caught.value.remedy


def test_the_own_label_map_needs_no_plugin():
    options = SyntheticFacesOptions(train=1, validation=1, test=1)
    assert create_synthetic_faces(options, DatasetContext()).label_map is CELEBAMASK_HQ


class TestMergedFaces(DatasetContract):
    spec = next(spec for spec in facekit_components() if spec.name == "synthetic_faces")
    options = {"train": 6, "validation": 2, "test": 2, "label_map": "celebamask_hq_merged"}
    label_maps = (CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED)
    other_options = {"seed": 5}
