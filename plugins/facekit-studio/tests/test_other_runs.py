"""Runs that read something else than masks, or references in their own way: they are edited with, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.inference.test_attributes import photo, run, told
from tests.inference.test_inference import NOISE, REFERENCE, faces, of_noise, of_reference, opened, regions
from tests.inference.test_noise import PLUGIN, noise_run

import facekit
from facekit.inference import FacePipeline
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.script import parse_script
from facekit_studio.web.responses import RequestError
from facekit_studio.web.runs import StudioRun
from facekit_studio.web.server import build_studio

__all__ = ["faces", "noise_run", "photo", "regions", "run"]


def test_edit_refuses_runs_that_change_attributes(run: Path, tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "photo.png")
    (tmp_path / "script.yaml").write_text("facekit_edit: 1\noperations:\n  - {do: grow, region: hair, by: 0.1}\n")
    code, output = told(
        "edit", run, tmp_path / "photo.png", "--script", tmp_path / "script.yaml", "-o", tmp_path / "result.png"
    )
    assert code == 2, output
    assert "reads no mask, so there is no mask to edit" in output
    assert "Traceback" not in output


def test_the_studio_refuses_runs_that_change_attributes(run: Path) -> None:
    with pytest.raises(FacekitError, match="reads no mask, so there is no mask to edit"):
        PhotoEditor(facekit.load(run, device="cpu"))
    with pytest.raises(FacekitError, match="reads no mask"):
        StudioRun("changes", facekit.load(run, device="cpu"))


def test_a_run_that_reads_references_by_itself_edits_photos(faces: Any, tmp_path: Path) -> None:
    pipeline = opened(tmp_path, REFERENCE, of_reference())
    editor = PhotoEditor(pipeline)
    pixels = (np.asarray(faces[0].permute(0, 2, 3, 1)) * 100 + 128).astype(np.uint8)
    mask = np.asarray(faces[1][0]).astype(np.uint8)
    Image.fromarray(pixels[1]).save(tmp_path / "other.png")
    Image.fromarray(mask).save(tmp_path / "other_mask.png")
    face = editor.open_aligned(pixels[0], mask, mask_source="mask.png")

    def edited(operation: str) -> Any:
        text = f"facekit_edit: 1\noperations:\n  - {operation}\n"
        return editor.edit(face, parse_script(text, file="script.yaml"), folder=tmp_path).generated

    own = edited("{do: grow, region: hair, by: 0.1}")
    other = edited("{do: reference, photo: other.png, mask: other_mask.png}")
    assert np.abs(own[0, 0].astype(int) - other[0, 0]).max() > 0
    with pytest.raises(FacekitError, match="styles cannot be blended"):
        edited("{do: blend_reference, photo: other.png, mask: other_mask.png, amount: 0.5}")


def test_the_studio_says_what_a_run_is_made_from(regions: FacePipeline) -> None:
    described = StudioRun("regions", regions).described()
    assert described["inputs"] == ["mask", "reference", "reference_mask"]


def test_the_studio_refuses_runs_without_masks(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="there is no mask to edit; it starts from noise alone") as caught:
        StudioRun("noise", opened(tmp_path, NOISE, of_noise()))
    assert not isinstance(caught.value, RequestError)
    assert "`facekit generate` generates with it" in str(caught.value)


def test_the_studio_leaves_runs_without_masks_out(noise_run: Path, plain_run: Path) -> None:
    """There is no mask to edit; the runs beside it are served."""
    registry, said = load_registry(PLUGIN), list[str]()
    studio = build_studio([noise_run, plain_run], registry=registry, device="cpu", drawn=None, report=said.append)
    assert list(studio.runs) == ["plain"]
    assert any("run is left out: this run reads no mask, so there is no mask to edit" in line for line in said)
    with pytest.raises(FacekitError, match="no mask to edit; it starts from noise alone"):
        build_studio([noise_run], registry=registry, device="cpu", drawn=None, report=said.append)
