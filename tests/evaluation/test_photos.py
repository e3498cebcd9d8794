from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.data.store import PackedFaces
from facekit.evaluation.photos import photo_source
from facekit.interfaces import EVALUATED, BuildContext, FacekitError, LabelMap, PhotoSource


def source(packed: PackedFaces, **changes) -> PhotoSource:  # type: ignore[no-untyped-def]
    counts = {split: len(rows) for split, rows in packed.splits.items()}
    return photo_source(lambda: packed, counts, **{"evaluated": "test", **changes})


def test_photos_are_those_of_the_split_in_order(packed: PackedFaces) -> None:
    photos = source(packed)("train")
    assert (photos.split, len(photos)) == ("train", 7)
    assert list(photos.keys) == [f"face-{index}" for index in range(7)]
    read = photos.read()
    assert read.dtype == torch.float32
    assert np.array_equal(((read + 1) * 127.5).round().permute(0, 2, 3, 1).numpy(), packed.images[:7])
    assert torch.equal(photos.read(2, 5), read[2:5])
    assert torch.equal(photos.read(5), read[5:])


def test_evaluated_photos_follow_split_and_limit(packed: PackedFaces) -> None:
    photos = source(packed, limit=3)
    assert (photos(EVALUATED).split, list(photos(EVALUATED).keys)) == ("test", ["face-7", "face-8", "face-9"])
    assert len(photos("test")) == 7
    assert len(source(packed, limit=100)(EVALUATED)) == 7
    assert source(packed, evaluated="train")(EVALUATED).split == "train"


def test_the_fingerprint_is_that_of_the_pixels(packed: PackedFaces, pack) -> None:  # type: ignore[no-untyped-def]
    photos = source(packed)
    whole = photos("test").fingerprint()
    assert whole == photos(EVALUATED).fingerprint() == photos("test").fingerprint(0, 7)
    assert whole == source(pack(count=14))("test").fingerprint()
    others = {photos("train").fingerprint(), photos("test").fingerprint(0, 3), photos("test").fingerprint(1)}
    assert len(others | {whole}) == 4
    assert source(pack(seed=1))("test").fingerprint() != whole


def test_nothing_is_opened_before_it_is_needed() -> None:
    def opened() -> PackedFaces:
        raise AssertionError("opened")

    photos = photo_source(opened, {"train": 400, "test": 50}, evaluated="test", limit=20)
    assert (len(photos("train")), len(photos(EVALUATED))) == (400, 20)
    with pytest.raises(AssertionError, match="opened"):
        photos("train").read(0, 1)


def test_readings_are_told(packed: PackedFaces) -> None:
    told: list[tuple[str, int, int]] = []
    photos = source(packed, progress=lambda *said: told.append(said))("train")
    photos.read(0, 4)
    photos.read(4)
    assert told == [("train", 4, 7), ("train", 7, 7)]


def test_exception(packed: PackedFaces) -> None:
    with pytest.raises(FacekitError, match=r"no photos in a split 'tests'\n  did you mean 'test'\?"):
        source(packed)("tests")
    with pytest.raises(FacekitError, match=r"'validation'\n  it has train, test"):
        photo_source(lambda: packed, {"train": 7, "validation": 0, "test": 7}, evaluated="validation")(EVALUATED)
    with pytest.raises(FacekitError, match="'train' are wanted where there are none"):
        BuildContext(LabelMap("none", ()), (), 16).real_photos("train")
