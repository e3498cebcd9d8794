"""CelebA's layout, written by the tests: photos with attributes and identities, and no masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from facekit.data.cache import prepare
from facekit.data.checks import check_dataset
from facekit.interfaces import NO_LABELS, DatasetContext, FaceDataset, FacekitError
from facekit_datasets.celeba_attributes import CelebAAttributesOptions, create

PEOPLE, PHOTOS_EACH = 40, 3
REAL = Path(__file__).parents[4] / "shared" / "data" / "celeba_attributes_mini"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """120 photos of 40 people, numbered as CelebA's are; the photos of a person do not stand together."""
    folder = tmp_path / "CelebA"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, PEOPLE * PHOTOS_EACH + 1)]
    for number, name in enumerate(names):
        photo = np.full((22, 18, 3), number * 2, np.uint8)
        Image.fromarray(photo).save(folder / "img_align_celeba" / name, quality=95)
    rows = [f"{name} {1 if number % 2 else -1} -1  {1 if number % 3 else -1}" for number, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(names)), "Smiling Male Young", *rows]) + "\n")
    people = [f"{name} {7000 + number % PEOPLE}" for number, name in enumerate(names)]
    (folder / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
    return folder


@pytest.fixture
def opened(root: Path) -> Callable[..., FaceDataset]:
    return lambda **options: create(CelebAAttributesOptions(root=root, **options), DatasetContext())


def test_it_reads_photos_and_attributes_and_no_masks(opened: Callable[..., FaceDataset]) -> None:
    dataset = opened()
    assert isinstance(dataset, FaceDataset)
    assert dataset.keys[0] == "000001"
    assert dataset.attribute_names == ("Smiling", "Male", "Young")
    sample = dataset.read(4)
    assert sample.image.shape == (22, 18, 3)
    assert sample.mask is None
    assert sample.attributes is not None
    assert sample.attributes.tolist() == [False, False, True]
    assert opened(attributes=["Young", "Smiling"]).read(1).attributes.tolist() == [True, True]  # type: ignore[union-attr]


def test_nobody_is_on_two_sides(opened: Callable[..., FaceDataset]) -> None:
    splits = opened(validation=0.3, test=0.2).splits()
    people = {name: {index % PEOPLE for index in indices} for name, indices in splits.items()}
    assert set(people) == {"train", "validation", "test"}
    assert sum(map(len, people.values())) == PEOPLE
    assert sum(map(len, splits.values())) == PEOPLE * PHOTOS_EACH
    assert len(people["train"]) > len(people["test"]) > 0


def test_a_persons_side_does_not_depend_on_who_else_is_there(root: Path, opened: Callable[..., FaceDataset]) -> None:
    before = opened().splits()["validation"]
    for number in range(60, 121):
        (root / "img_align_celeba" / f"{number:06d}.jpg").unlink()
    assert opened().splits()["validation"] == [index for index in before if index < 59]


def test_the_official_split(root: Path, opened: Callable[..., FaceDataset]) -> None:
    lines = [f"{number:06d}.jpg {0 if number < 80 else 1 if number < 100 else 2}" for number in range(1, 121)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines))
    assert {name: len(indices) for name, indices in opened().splits().items()} == {
        "train": 79,
        "validation": 20,
        "test": 21,
    }
    assert len(opened(split="by_identity").splits()) == 2
    (root / "list_eval_partition.txt").write_text("000001.jpg 3\n")
    with pytest.raises(FacekitError, match="a number of 0 to 2") as caught:
        opened()
    assert str(caught.value.where).endswith("list_eval_partition.txt:1")


def test_exception(root: Path, opened: Callable[..., FaceDataset]) -> None:
    with pytest.raises(ValidationError, match="leave people to train on"):
        CelebAAttributesOptions(root=root, validation=0.5, test=0.5)
    with pytest.raises(FacekitError, match="no attribute 'Smilling'"):
        opened(attributes=["Smilling"])
    with pytest.raises(FacekitError, match="official split needs this file"):
        opened(split="official")
    text = (root / "list_attr_celeba.txt").read_text()
    (root / "list_attr_celeba.txt").write_text(text.replace("000002.jpg 1 -1", "000002.jpg 1 0"))
    with pytest.raises(FacekitError, match="3 values of 1 or -1") as caught:
        opened()
    assert str(caught.value.where).endswith("list_attr_celeba.txt:4")
    (root / "list_attr_celeba.txt").write_text(text.replace("000002.jpg 1 -1  1\n", ""))
    assert any("no line for 000002.jpg" in finding.message for finding in opened().check(1))
    (root / "identity_CelebA.txt").unlink()
    with pytest.raises(FacekitError, match="split by identity needs this file"):
        opened()


def test_it_is_packed_without_masks(opened: Callable[..., FaceDataset], tmp_path: Path) -> None:
    dataset = opened(attributes=["Smiling", "Young"])
    packed = prepare(dataset, size=16, cache=tmp_path / "cache", workers=1)
    assert packed.masks is None
    assert packed.label_map == NO_LABELS
    assert packed.attributes is not None
    assert np.array_equal(packed.attributes, [dataset.read(index).attributes for index in range(len(packed))])


def test_it_is_checked_like_any_other(root: Path, opened: Callable[..., FaceDataset]) -> None:
    report = check_dataset(opened(), workers=1)
    assert not report.errors
    assert not report.mask_sizes
    assert not [finding for finding in report.warnings if finding.where.startswith("class ")]
    (root / "img_align_celeba" / "000005.jpg").write_bytes(b"no picture")
    (root / "img_align_celeba" / "notes.txt").write_text("x")
    report = check_dataset(opened(), workers=1)
    assert [Path(finding.where).name for finding in report.errors] == ["000005.jpg"]
    assert any(finding.where.endswith("notes.txt") for finding in report.warnings)


def test_real_photos() -> None:
    if not REAL.is_dir():
        pytest.skip(f"needs real photos in {REAL}")
    dataset: Any = create(CelebAAttributesOptions(root=REAL), DatasetContext())
    identity = dict(line.split() for line in (REAL / "identity_CelebA.txt").read_text().splitlines())
    people = {
        name: {identity[f"{dataset.keys[index]}.jpg"] for index in indices}
        for name, indices in dataset.splits().items()
    }
    assert not people["train"] & people["validation"]
    assert len(dataset.attribute_names) == 40
    assert dataset.read(0).image.shape == (256, 256, 3)
