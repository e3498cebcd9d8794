"""``facekit data`` on drawn faces and on folders with damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Call = Callable[..., Result]

FEW = ("--set", "train=3", "--set", "validation=1", "--set", "test=1", "--workers", "0")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))


def test_prepare_a_dataset_by_name(call: Call) -> None:
    first = call("data", "prepare", "synthetic_faces", *FEW, "--set", "size=32", "--json")
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["splits"] == {"train": 3, "validation": 1, "test": 1}
    assert found["size"] == 32
    assert Path(found["folder"]).is_dir()
    again = call("data", "prepare", "synthetic_faces", *FEW, "--set", "data.size=32")
    assert f"packed in {found['folder']}" in again.stdout


def test_prepare_the_dataset_of_a_recipe(call: Call) -> None:
    overrides = ("--set", "data.size=32", "--set", "data.train=2", "--set", "data.validation=1", "--set", "data.test=1")
    result = call("data", "prepare", "sft_pix2pixhd", *overrides, "--workers", "0")
    assert "4 faces at 32 px (2 train, 1 validation, 1 test)" in result.stdout


def test_options_of_a_dataset_are_checked(call: Call) -> None:
    result = call("data", "check", "synthetic_faces", "--set", "trian=3")
    assert result.exit_code == 2
    assert "--set data.trian=3:1:6: data.trian: unknown key 'trian'; did you mean 'train'" in result.stderr
    missing = call("data", "check", "celebamask_hq")
    assert missing.exit_code == 2
    assert "root" in missing.stderr


def test_a_source_that_is_nothing(call: Call) -> None:
    result = call("data", "prepare", "no_such_thing")
    assert result.exit_code == 2
    assert "synthetic_faces" in result.stderr


def test_check_prints_class_frequencies(call: Call) -> None:
    result = call("data", "check", "synthetic_faces", *FEW)
    assert result.exit_code == 0
    assert "skin" in result.stdout
    assert "5 faces (3 train, 1 validation, 1 test): 0 errors" in result.stdout


def test_what_is_synthesised_can_be_checked_and_damage_is_named(call: Call, tmp_path: Path) -> None:
    made = call("data", "synthesise", "-o", "faces", "--side", "32", "--json", *FEW)
    assert made.exit_code == 0, made.stderr
    data = json.loads(made.stdout)["data"]
    options = [f"{name}={json.dumps(value)}" for name, value in data.items() if name != "use"]
    arguments = [part for option in options for part in ("--set", option)]
    sound = call("data", "check", data["use"], *arguments, "--workers", "0")
    assert sound.exit_code == 0, sound.output

    photos = sorted((tmp_path / "faces" / "photos").iterdir())
    photos[0].write_bytes(photos[0].read_bytes()[:200])
    masks = sorted((tmp_path / "faces" / "masks").iterdir())
    Image.fromarray(np.full((32, 32), 200, dtype=np.uint8)).save(masks[1])
    damaged = call("data", "check", data["use"], *arguments, "--workers", "0")
    assert damaged.exit_code == 2
    assert photos[0].name in damaged.stdout
    assert masks[1].name in damaged.stdout
    assert "Traceback" not in damaged.output
    document = json.loads(call("data", "check", data["use"], *arguments, "--workers", "0", "--json").stdout)
    assert document["errors"] == 2


def test_preview_writes_a_picture(call: Call, tmp_path: Path) -> None:
    result = call("data", "preview", "synthetic_faces", *FEW[:-2], "-o", "sheet.png", "--count", "2", "--side", "32")
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 64


def test_preview_of_a_split_that_is_not_there(call: Call) -> None:
    result = call("data", "preview", "synthetic_faces", *FEW[:-2], "-o", "sheet.png", "--split", "tset")
    assert result.exit_code == 2
    assert "'tset'" in result.stderr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten photos without masks."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    rows = "".join(f"{number},{number % 2},{number % 3 % 2}\n" for number in range(10))
    (folder / "attributes.csv").write_text(f"key,Smiling,Young\n{rows}")
    return folder


class TestPhotosWithoutMasks:
    SOURCE = ("image_folder", *("--set", "root=photos", "--set", "size=32", "--set", "attribute_file=attributes.csv"))

    def test_check_prints_nothing_about_masks(self, call: Call, photos: Path) -> None:
        result = call("data", "check", *self.SOURCE, "--workers", "0")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines() == [
            "ATTRIBUTE  PICTURES",
            "Smiling           5",
            "Young             3",
            "",
            "photos: 10 of 40 x 40",
            "10 faces (8 train, 1 validation, 1 test): 0 errors, 0 warnings",
        ]
        found = json.loads(call("data", "check", *self.SOURCE, "--workers", "0", "--json").stdout)
        assert (found["classes"], found["mask_sizes"]) == ([], [])

    def test_check_names_what_is_wrong(self, call: Call, photos: Path) -> None:
        (photos / "3.png").write_bytes((photos / "3.png").read_bytes()[:100])
        Image.fromarray(np.zeros((40, 40), np.uint16)).save(photos / "5.png")
        Image.new("P", (40, 40)).save(photos / "6.png")
        result = call("data", "check", *self.SOURCE, "--workers", "0")
        assert result.exit_code == 2
        assert "photos/3.png: error: " in result.stdout
        assert "photos/5.png: error: the photo's mode I;16 is not supported" in result.stdout
        assert "6.png" not in result.stdout
        assert "2 errors" in result.stdout
        assert "Traceback" not in result.output
        packed = call("data", "prepare", *self.SOURCE, "--workers", "0")
        assert packed.exit_code == 2
        assert "3.png" in packed.stderr or "5.png" in packed.stderr

    def test_prepare_preview_and_synthesise(self, call: Call, photos: Path, tmp_path: Path) -> None:
        prepared = call("data", "prepare", *self.SOURCE, "--workers", "0", "--json")
        assert prepared.exit_code == 0, prepared.stderr
        assert json.loads(prepared.stdout)["classes"] == 0
        shown = call("data", "preview", *self.SOURCE, "-o", "sheet.png", "--count", "2", "--side", "64")
        assert shown.exit_code == 0, shown.stderr
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.width == 2 * (64 + 10) + 10
        written = call("data", "synthesise", *self.SOURCE, "-o", "plain", "--json", "--workers", "0")
        assert json.loads(written.stdout)["data"]["use"] == "image_folder"
        refused = call("data", "synthesise", *self.SOURCE, "-o", "colours", "--colour", "--workers", "0")
        assert refused.exit_code == 2
        assert "no masks to write in colours" in refused.stderr

    def test_a_recipe_that_needs_masks_is_refused(self, call: Call, photos: Path) -> None:
        result = call("validate", "sft_pix2pixhd", "--set", "data.use=image_folder", "--set", "data.root=photos")
        assert result.exit_code == 2
        assert "needs `mask`" in result.stderr
        assert "a dataset with masks gives it" in result.stderr

    @staticmethod
    def train() -> list[str]:
        """The command that trains on the photos a model that changes attributes and reads no masks."""
        options = {
            "data.use": "image_folder",
            "data.root": "photos",
            "data.attribute_file": "attributes.csv",
            "data.attributes": '["Smiling", "Young"]',
            "data.size": "32",
            "model.generator.filters": "4",
            "model.generator.blocks": "1",
            "model.discriminator.filters": "4",
            "model.discriminator.layers": "3",
            "train.batch": "2",
            "train.steps": "2",
            "train.turns.discriminator": "1",
        }
        sets = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
        return ["run", "stargan", "--out", "runs/one", *sets]

    def test_a_model_trains_on_them(self, call: Call, photos: Path, tmp_path: Path) -> None:
        result = call(*self.train())
        assert result.exit_code == 0, result.output
        run = tmp_path / "runs" / "one"
        lock = json.loads((run / "lock.json").read_text())
        assert (lock["label_map"]["name"], lock["label_map"]["classes"]) == ("none", [])
        assert lock["attribute_names"] == ["Smiling", "Young"]
        with Image.open(run / "samples" / "step-00000002.png") as grid:
            assert grid.height > 32

    def test_regions_of_references_cannot_be_hidden(self, call: Call, photos: Path, tmp_path: Path) -> None:
        result = call(*self.train(), "--set", "data.reference.hide_regions=0.2")
        assert result.exit_code == 2
        assert "data.reference.hide_regions: regions of the reference are hidden by its mask" in result.stderr
        assert "set it to 0, or take a dataset with masks" in result.stderr
        assert not (tmp_path / "cache").exists()  # it fails before anything is packed
