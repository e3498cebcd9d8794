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
