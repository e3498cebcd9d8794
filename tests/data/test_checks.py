from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facekit.data.checks import check_dataset
from facekit.interfaces import FaceSample, Finding


def messages(findings):
    return [f"{finding.where}: {finding.message}" for finding in findings]


def test_a_sound_dataset_has_no_errors_and_true_figures(make_dataset):
    dataset = make_dataset(12, size=40)
    seen = []
    report = check_dataset(dataset, progress=seen.append)
    assert report.errors == ()
    assert (report.samples, report.readable) == (12, 12)
    assert report.splits == {"train": 9, "test": 3}
    masks = np.stack([sample.mask for sample in dataset.samples])
    for identity, entry in enumerate(report.classes):
        assert entry.name == dataset.label_map.names[identity]
        assert entry.pixels == pytest.approx((masks == identity).mean())
        assert entry.images == (masks == identity).any(axis=(1, 2)).sum()
    flags = np.stack([sample.attributes for sample in dataset.samples])
    assert [entry.images for entry in report.attributes] == flags.sum(axis=0).tolist()
    assert report.photo_sizes == report.mask_sizes == {(40, 40): 12}
    assert [progress.done for progress in seen] == list(range(1, 13))


def test_pictures_count_alike_whatever_their_size(array_dataset, make_dataset):
    small, large = make_dataset(1, size=20).samples[0], make_dataset(1, size=200, seed=1).samples[0]
    report = check_dataset(array_dataset([small, large], {"train": [0, 1]}))
    shares = [(sample.mask == 1).mean() for sample in (small, large)]
    assert report.classes[1].pixels == pytest.approx(np.mean(shares))
    assert report.photo_sizes == {(20, 20): 1, (200, 200): 1}


def test_what_the_dataset_finds_is_reported_and_left_out_of_the_figures(make_dataset):
    dataset = make_dataset()
    dataset.findings = {3: [Finding("error", "face-3.png", "the picture is truncated")]}
    report = check_dataset(dataset)
    assert messages(report.errors) == ["face-3.png: the picture is truncated"]
    assert (report.samples, report.readable) == (12, 11)


def test_ids_outside_the_label_map_and_other_aspects_are_errors(make_dataset):
    dataset = make_dataset()
    mask = dataset.samples[1].mask.copy()
    mask[0, 0] = 5
    dataset.samples[1] = replace(dataset.samples[1], mask=mask)
    dataset.samples[2] = replace(dataset.samples[2], mask=dataset.samples[2].mask[:30])
    assert messages(check_dataset(dataset).errors) == [
        "sample face-1: the mask holds id 5; the label map 'test_parts' ends at 4",
        "sample face-2: photo (40x40) and mask (40x30) differ in aspect",
    ]


def test_exchanged_sides_are_warned_of_and_repairs_named(make_dataset):
    dataset = make_dataset()
    assert not any("exchanged" in finding.message for finding in check_dataset(dataset).findings)
    dataset.samples[4] = replace(dataset.samples[4], mask=dataset.samples[4].mask[:, ::-1].copy())
    dataset.repair_names = ("exchanged sides",)
    dataset.samples[6] = replace(dataset.samples[6], repairs=("exchanged sides",))
    report = check_dataset(dataset)
    assert [message for message in messages(report.warnings) if "face-4" in message] == [
        "sample face-4: left and right are exchanged in the mask: left_eye and right_eye; they are the person's own "
        "sides"
    ]
    assert report.repairs == {"exchanged sides": ("face-6",)}
    assert not report.errors


def test_splits_and_keys_are_checked(make_dataset):
    dataset = make_dataset()
    dataset.keys[3] = dataset.keys[2]
    dataset._splits = {"train": range(6), "test": [5, 7]}
    assert messages(check_dataset(dataset).errors) == [
        "sample face-5: the sample is in the splits train and test; splits never overlap",
        "sample face-2: 2 samples have this key",
    ]
    dataset._splits = {}
    assert "no sample belongs to a split" in check_dataset(dataset).errors[0].message


def test_small_photos_and_what_never_occurs_are_warned_of(make_dataset, labels):
    dataset = make_dataset(3)
    hair = labels.id_of("hair")
    dataset.samples = [
        replace(
            sample, mask=np.where(sample.mask == hair, 0, sample.mask).astype(np.uint8), attributes=np.array([1, 0])
        )
        for sample in dataset.samples
    ]
    report = check_dataset(dataset, size=64)
    assert report.errors == ()
    assert messages(report.warnings) == [
        *(f"sample face-{i}: the photo (40x40) is smaller than 64 pixels and will be enlarged" for i in range(3)),
        "class hair: the class occurs in no mask; a model cannot learn it",
        "attribute Smiling: every picture has it; a model cannot learn it",
        "attribute Young: no picture has it; a model cannot learn it",
    ]


def test_copies_in_two_splits_are_found(array_dataset):
    random = np.random.default_rng(0)
    photos = [np.kron(random.integers(40, 200, (16, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8) for _ in range(6)]
    photos += [(photos[1].astype(float) * 0.7 + 30)[:, ::-1].astype(np.uint8), photos[2]]
    dataset = array_dataset(
        [FaceSample(photo, np.zeros(photo.shape[:2], np.uint8), None) for photo in photos],
        {"train": [0, 1, 2, 3], "validation": [4, 7], "test": [5, 6]},
    )
    found = {
        each.where: each.message for each in check_dataset(dataset, workers=1).findings if "is also in" in each.message
    }
    assert set(found) == {"sample face-6", "sample face-7"}
    assert "of the test split, is also in the train split: face-1 (" in found["sample face-6"]
    assert "of the validation split, is also in the train split: face-2 (" in found["sample face-7"]
