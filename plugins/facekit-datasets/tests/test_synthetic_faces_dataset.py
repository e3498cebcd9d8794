from __future__ import annotations

import pickle

import numpy as np
import pytest

from facekit.interfaces import DatasetContext, FaceDataset, FacekitError
from facekit_datasets.synthetic import ATTRIBUTE_NAMES, draw_face
from facekit_datasets.synthetic_faces import SyntheticFacesOptions, create


def open_it(**options):
    return create(SyntheticFacesOptions(**options), DatasetContext())


def test_the_default_split_is_that_of_the_reference():
    dataset = open_it()
    assert isinstance(dataset, FaceDataset)
    assert {split: len(indices) for split, indices in dataset.splits().items()} == {
        "train": 400,
        "validation": 50,
        "test": 50,
    }
    members = [index for indices in dataset.splits().values() for index in indices]
    assert sorted(members) == list(range(500))
    assert len(set(dataset.keys)) == 500


def test_faces_are_drawn_at_the_size_asked_for():
    dataset = open_it(train=3, validation=0, test=0, seed=4)
    sample = dataset.read(1, size=40)
    face = draw_face(4, 1, 40)
    assert np.array_equal(sample.image, face.image)
    assert np.array_equal(sample.mask, face.mask)
    assert sample.image.shape == (40, 40, 3)
    assert sample.mask.dtype == np.uint8
    assert dict(zip(ATTRIBUTE_NAMES, sample.attributes.tolist(), strict=True)) == dict(face.attributes)
    assert dataset.splits() == {"train": range(3)}


def test_splits_share_no_face_and_do_not_move_when_another_grows():
    small, large = open_it(train=3, validation=2, test=2, extra=2), open_it(train=5, validation=2, test=2, extra=2)

    def faces(dataset):
        return {key: dataset.read(index, size=24).image.tobytes() for index, key in enumerate(dataset.keys)}

    assert len(set(faces(small).values())) == 9
    assert faces(small).items() <= faces(large).items()


def test_attributes_are_chosen_by_name():
    dataset = open_it(train=4, validation=0, test=0, attributes=["Smiling", "Male"])
    assert dataset.attribute_names == ("Smiling", "Male")
    face = draw_face(0, 2, 24)
    assert dataset.read(2, size=24).attributes.tolist() == [face.attributes["Smiling"], face.attributes["Male"]]
    assert open_it(attributes=[]).read(0, size=24).attributes is None
    with pytest.raises(FacekitError, match="did you mean 'Smiling'"):
        open_it(attributes=["Smile"])


def test_the_fingerprint_follows_the_options():
    first = open_it(train=3).fingerprint()
    assert open_it(train=3).fingerprint() == first
    others = [open_it(train=4), open_it(train=3, seed=1), open_it(train=3, attributes=["Male"])]
    assert len({first, *(other.fingerprint() for other in others)}) == 4


def test_a_renderer_that_draws_otherwise_has_another_fingerprint(monkeypatch):
    from facekit_datasets import synthetic

    first = open_it(train=3).fingerprint()
    monkeypatch.setattr(synthetic, "draw_face", lambda seed, index, size: draw_face(seed + 1, index, size))
    assert open_it(train=3).fingerprint() != first


def test_it_travels_to_other_processes():
    dataset = open_it(train=2)
    other = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(other.read(0, size=24).image, dataset.read(0, size=24).image)
    assert dataset.check(0) == dataset.check_all() == []
