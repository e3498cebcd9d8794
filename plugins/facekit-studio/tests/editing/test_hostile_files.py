"""Files that are not what their names say: a batch goes on, nothing hangs, nothing foreign is run."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from facekit.inference import FacePipeline, generate_folder, read_provenance
from facekit.interfaces import FacekitError
from facekit.recipe import RecipeError, read_recipe
from facekit.registry import load_registry
from facekit_studio.editing import PhotoEditor, edit_folder
from facekit_studio.editing.script import parse_script, read_script

MakeFace = Callable[..., Any]

SCRIPT = "facekit_edit: 1\noperations: []\n"


def damaged(form: str) -> bytes:
    """A file whose head is right and whose decoder raises something that is no OSError."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    content = bytearray(buffer.getvalue())
    if form == "DDS":
        content[80:84] = (0x4).to_bytes(4, "little")  # four letters name the compression ...
        content[84:88] = b"DX99"  # ... that nobody knows
    else:
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    return bytes(content)


@pytest.fixture
def files(tmp_path: Path, face: MakeFace) -> Path:
    """Photos and masks ``a`` and ``d``, and between them photos of formats that are not read."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for number, stem in enumerate("abcd"):
        drawn = face(number)
        drawn.photo.save(tmp_path / "photos" / f"{stem}.png")
        drawn.mask.save(tmp_path / "masks" / f"{stem}.png")
    (tmp_path / "photos" / "b.png").write_bytes(damaged("DDS"))
    (tmp_path / "photos" / "c.png").write_bytes(damaged("EPS"))
    return tmp_path


def test_a_batch_of_edits_goes_on(pipeline: FacePipeline, files: Path) -> None:
    result = edit_folder(
        PhotoEditor(pipeline),
        parse_script(SCRIPT),
        photo=files / "photos",
        mask=files / "masks",
        output=files / "out",
    )
    assert [item.outcome for item in result.items] == ["written", "failed", "failed", "written"]
    assert "b.png: the file is not a picture" in result.items[1].message


def test_a_batch_of_results_goes_on(pipeline: FacePipeline, files: Path) -> None:
    result = generate_folder(
        pipeline,
        mask=files / "masks",
        reference=files / "photos",
        reference_mask=files / "masks",
        output=files / "out",
    )
    assert [item.outcome for item in result.items] == ["written", "failed", "failed", "written"]


def test_what_stands_in_the_place_of_a_result_ends_no_batch(pipeline: FacePipeline, files: Path) -> None:
    (files / "out").mkdir()
    entries = PngImagePlugin.PngInfo()
    entries.add_itxt("facekit", "[" * 100_000)
    Image.new("RGB", (8, 8)).save(files / "out" / "a.png", pnginfo=entries)
    (files / "out" / "d.png").write_bytes(damaged("DDS"))
    assert read_provenance(files / "out" / "a.png") is None
    result = edit_folder(
        PhotoEditor(pipeline),
        parse_script(SCRIPT),
        photo=files / "photos",
        mask=files / "masks",
        output=files / "out",
    )
    assert [item.outcome for item in result.items] == ["failed"] * 4
    assert "another file of this name" in result.items[0].message
    assert "another file of this name" in result.items[3].message


def test_a_fifo_does_not_hang(pipeline: FacePipeline, files: Path) -> None:
    for name in ("face.png", "script.yaml", "recipe.yaml"):
        os.mkfifo(files / name)
    editor = PhotoEditor(pipeline)
    mask = files / "masks" / "a.png"
    for photo, its_mask in ((files / "face.png", mask), (files / "photos" / "a.png", files / "face.png")):
        with pytest.raises(FacekitError, match="this is a FIFO"):
            edit_folder(editor, parse_script(SCRIPT), photo=photo, mask=its_mask, output=files / "o.png")
        with pytest.raises(FacekitError, match="this is a FIFO"):
            generate_folder(pipeline, mask=mask, reference=photo, reference_mask=its_mask, output=files / "o.png")
    with pytest.raises(FacekitError, match="this is a FIFO"):
        read_script(files / "script.yaml")
    with pytest.raises(RecipeError, match="this is a FIFO"):
        read_recipe(files / "recipe.yaml", registry=load_registry())
    (files / "other.yaml").write_text("facekit: 1\nextends: recipe.yaml\n")
    with pytest.raises(RecipeError, match="this is a FIFO"):
        read_recipe(files / "other.yaml", registry=load_registry())
