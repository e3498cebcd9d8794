"""Classical inpainting beside a run: OpenCV's, which facekit does not depend on."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from benchmarks import classical_inpainting
from facekit_studio.edit_quality.kinds import named_edit
from facekit_studio.editing.script import EditContext, apply_script


def arguments(run, *more):
    common = ["--data", "synthetic_faces", "--set", "train=12", "--set", "test=12", "--side", "256", "--limit", "2"]
    return [str(run), *common, *more]


def test_without_opencv_it_says_so_and_measures_nothing(monkeypatch, capsys, small_run):
    found = importlib.util.find_spec
    monkeypatch.setattr(classical_inpainting, "find_spec", lambda name: None if name == "cv2" else found(name))
    classical_inpainting.main(arguments(small_run))
    assert capsys.readouterr().out.strip() == classical_inpainting.MISSING


def test_it_fills_the_hole_and_nothing_else(faces, label_map):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    edit = named_edit("open_mouth")
    face = next(face for face in faces if edit.is_made_for(face.mask, label_map))
    wanted = apply_script(edit.script(label_map), face.mask, EditContext(label_map))
    edited = classical_inpainting.telea(edit, [], label_map)(face, wanted)
    assert edited.touched[wanted != face.mask].all()
    assert np.array_equal(edited.image[~edited.touched], face.image[~edited.touched])
    assert (edited.image[edited.touched] != face.image[edited.touched]).any()
    assert edited.image.dtype == np.uint8


def test_it_has_a_column_in_the_table(capsys, small_run):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    classical_inpainting.main(arguments(small_run, "--script", "open_mouth"))
    shown = capsys.readouterr().out
    assert "telea" in shown
    assert "texture/fine/lips" in shown
    assert not list((small_run / "edits").glob("*0000*-telea*"))
