"""Folders of photos without masks, drawn by the tests; and one of real photos."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from facekit.data.cache import prepare
from facekit.data.checks import check_dataset
from facekit.data.preview import write_preview
from facekit.interfaces import NO_LABELS, DatasetContext, FaceDataset, FacekitError, Finding
from facekit_datasets.image_folder import ImageFolderOptions, create

REAL = Path(os.environ.get("FACEKIT_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "celebamask_hq_mini"

Open = Callable[..., Any]


def said(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.level, Path(finding.where).name, finding.message) for finding in findings]


@pytest.fixture
def root(tmp_path: Path, make_photo: Callable[..., Image.Image]) -> Path:
    """Ten photos of several formats, two of them in a subfolder; attributes and lists of splits lie beside them."""
    folder = tmp_path / "photos"
    (folder / "people").mkdir(parents=True)
    for number in range(8):
        make_photo(number).save(folder / f"{number}{('.jpg', '.png', '.webp')[number % 3]}", quality=95)
    for number, name in enumerate(("anna", "ben")):
        make_photo(20 + number).save(folder / "people" / f"{name}.JPG", quality=95)
    rows = [f"{number},{number % 2},1" for number in range(8)]
    (folder / "attributes.csv").write_text("\n".join(["key,Smiling,Young", *rows, "people/anna,1,0", "people/ben,0,0"]))
    (folder / "train.txt").write_text("0\n1\n2\npeople/anna\n")
    (folder / "test.txt").write_text("7\n")
    return folder


@pytest.fixture
def opened(root: Path) -> Open:
    return lambda **options: create(ImageFolderOptions(root=root, **options), DatasetContext())


def test_it_reads_photos_of_the_folder_and_its_subfolders(opened: Open, root: Path) -> None:
    dataset = opened()
    assert isinstance(dataset, FaceDataset)
    assert list(dataset.keys) == [*map(str, range(8)), "people/anna", "people/ben"]
    assert dataset.label_map is NO_LABELS
    assert dataset.attribute_names == ()
    for index in range(10):
        sample = dataset.read(index)
        assert sample.image.shape == (48, 48, 3)
        assert sample.mask is None
        assert sample.attributes is None
        assert dataset.check(index) == []
    assert np.array_equal(dataset.read(1).image, np.asarray(Image.open(root / "1.png")))
    assert list(opened(photos="people").keys) == ["anna", "ben"]
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).read(1).image, dataset.read(1).image)


def test_attributes_and_splits_are_those_of_folders_with_masks(opened: Open) -> None:
    dataset = opened(
        attribute_file="attributes.csv",
        attributes=["Young", "Smiling"],
        split_files={"train": "train.txt", "test": "test.txt"},
    )
    assert dataset.attribute_names == ("Young", "Smiling")
    assert dataset.read(1).attributes.tolist() == [True, True]
    assert dataset.read(8).attributes.tolist() == [False, True]
    assert dataset.splits() == {"train": [0, 1, 2, 8], "test": [7]}
    assert dataset.check_all() == []  # the files that the options name are no strangers
    drawn = opened(fractions={"train": 0.6, "test": 0.2}, seed=1).splits()
    assert {split: len(indices) for split, indices in drawn.items()} == {"train": 6, "test": 2}
    with pytest.raises(ValidationError, match=r"add up to 1\.5"):
        ImageFolderOptions(root=Path("x"), fractions={"train": 0.9, "test": 0.6})
    with pytest.raises(FacekitError, match="attributes are chosen, but there is no attribute file"):
        opened(attributes=["Young"])


def test_what_it_cannot_read_is_named(opened: Open, root: Path) -> None:
    whole = (root / "1.png").read_bytes()
    (root / "1.png").write_bytes(whole[: len(whole) // 2])
    (root / "4.png").write_bytes(b"no picture")
    Image.fromarray(np.arange(48 * 48, dtype=np.uint16).reshape(48, 48)).save(root / "7.png")
    dataset = opened(fractions={"train": 1.0})
    found = {index: said(dataset.check(index)) for index in range(10)}
    assert [index for index, findings in found.items() if findings] == [1, 4, 7]
    assert found[1][0][:2] == ("error", "1.png")
    assert "the picture cannot be read" in found[1][0][2]
    assert found[4] == [("error", "4.png", "the file is not a picture, or its beginning is damaged")]
    assert found[7] == [("error", "7.png", "the photo's mode I;16 is not supported")]
    assert dataset.check(7)[0].remedy == "save it with 8 bits a channel"
    for index in (1, 4, 7):
        with pytest.raises(FacekitError, match=rf"{dataset.keys[index]}\.png"):
            dataset.read(index)


def test_pictures_of_8_bits_become_rgb(opened: Open, root: Path) -> None:
    palette = Image.open(root / "1.png").convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    palette.save(root / "1.png")
    Image.new("L", (48, 48), 90).save(root / "4.png")
    Image.new("RGBA", (48, 48), (10, 20, 30, 0)).save(root / "7.png")
    dataset = opened()
    assert [dataset.check(index) for index in (1, 4, 7)] == [[], [], []]
    assert np.array_equal(dataset.read(1).image, np.asarray(palette.convert("RGB")))
    assert (dataset.read(4).image == 90).all()
    assert (dataset.read(7).image == (10, 20, 30)).all()


def test_odd_sizes_are_warned_of(opened: Open, root: Path, make_photo: Callable[..., Image.Image]) -> None:
    make_photo(30, (60, 48)).save(root / "1.png")
    dataset = opened(fractions={"train": 1.0})
    report = check_dataset(dataset, size=48, workers=0)
    strange = [("warning", name, "the file is not a picture and is not read") for name in FILES_BESIDE]
    assert said(list(report.findings)) == [
        *strange,
        ("warning", "1.png", "the photo is not square (60x48); its middle will be used"),
    ]
    small = check_dataset(dataset, size=64, workers=0)
    assert len([finding for finding in small.warnings if "is smaller than 64 pixels" in finding.message]) == 10
    assert small.errors == ()


FILES_BESIDE = ("attributes.csv", "test.txt", "train.txt")


def test_photos_that_are_there_twice(opened: Open, root: Path) -> None:
    lists = {"split_files": {"train": "train.txt", "test": "test.txt"}}
    assert not [finding for finding in opened(**lists).check_all() if "copy" in finding.message]
    shutil.copy(root / "1.png", root / "7.png")
    shutil.copy(root / "0.jpg", root / "people" / "anna.JPG")
    shutil.copy(root / "0.jpg", root / "people" / "ben.JPG")  # in no split: nothing learns from it
    copies = [finding for finding in opened(**lists).check_all() if "copy" in finding.message]
    assert said(copies) == [("warning", "anna.JPG", "the photo is a copy of 0.jpg")]
    across = [
        finding for finding in check_dataset(opened(**lists), workers=0).warnings if "is also in" in finding.message
    ]
    assert any(finding.where == "sample 7" and "train split: 1 (" in finding.message for finding in across)
    Image.open(root / "1.png").save(root / "1.jpg")
    with pytest.raises(FacekitError, match=r"1\.jpg and 1\.png share a name\n.*rename or remove one of them"):
        opened()


def test_folders_that_are_none_are_named(opened: Open, root: Path) -> None:
    with pytest.raises(FacekitError, match=r"no folder of photos\n.*set root, or photos") as caught:
        opened(photos="images")
    assert caught.value.where == str(root / "images")
    (root / "empty").mkdir()
    with pytest.raises(FacekitError, match="there are no photos in this folder"):
        opened(photos="empty")


def test_the_fingerprint_follows_photos_in_splits(opened: Open, root: Path) -> None:
    lists = {"split_files": {"train": "train.txt", "test": "test.txt"}}
    first = opened(**lists).fingerprint()
    (root / "5.webp").touch()  # in no split
    assert opened(**lists).fingerprint() == first
    assert opened(**lists, attribute_file="attributes.csv").fingerprint() != first
    (root / "2.webp").touch()
    assert opened(**lists).fingerprint() != first


def test_it_is_packed_and_shown(opened: Open, tmp_path: Path) -> None:
    packed = prepare(opened(attribute_file="attributes.csv"), size=32, cache=tmp_path / "cache", workers=0)
    assert packed.masks is None
    assert packed.images.shape == (10, 32, 32, 3)
    assert packed.attributes is not None
    assert packed.attributes[8].tolist() == [1, 0]
    sheet = Image.open(write_preview(opened(), tmp_path / "sheet.png", count=4, size=48, columns=2))
    assert sheet.width == 2 * (48 + 10) + 10


def test_real_photos(tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"needs real photos in {REAL}")
    options = {"photos": Path("CelebA-HQ-img"), "fractions": {"train": 0.04, "test": 0.01}}
    dataset = create(ImageFolderOptions(root=REAL, **options), DatasetContext())
    report = check_dataset(dataset, size=64, workers=2)
    assert report.findings == ()
    assert report.photo_sizes == {(512, 512): report.samples}
    packed = prepare(dataset, size=64, cache=tmp_path, workers=2)
    assert packed.masks is None
    red, _, blue = np.asarray(packed.images).reshape(-1, 3).mean(axis=0)
    assert red > blue + 10  # faces
