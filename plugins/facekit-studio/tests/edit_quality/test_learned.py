"""Photos that a run has learned from are refused, or told; what cannot be looked at is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from facekit.cli.main import cli
from facekit.inference import load
from facekit.interfaces import CutFromPhotos, DatasetContext, FacekitError
from facekit.registry import load_registry
from facekit_studio.edit_quality.faces import Face, read_face
from facekit_studio.edit_quality.learned import Learned, learned_photos, refuse_learned
from facekit_studio.editing import PhotoEditor


@pytest.fixture(scope="module")
def editor(small_run):
    return PhotoEditor(load(small_run, device="cpu"))


def test_photos_are_found_in_another_tone_and_mirrored_and_others_are_not(editor, drawn):
    splits = drawn.splits()
    ours, new = (read_face(drawn, splits[split][0], side=256) for split in ("train", "test"))
    other = Face("mine", np.clip(ours.image[:, ::-1] * 0.8 + 10, 0, 255).astype(np.uint8), ours.mask)
    (found,) = learned_photos(editor, [ours, other, new], registry=load_registry())
    assert found.training_photos == 12
    assert found.found == {"train-00000": "train-00000", "mine": "train-00000"}
    assert found.among([new]).found == {}
    assert "learned from 2 of these 3 photos" in found.note(3)
    with pytest.raises(FacekitError, match="learned from 2 of these 3 photos, 'train-00000' first"):
        refuse_learned([found], 3)
    assert found.among([new]).note(1) == ""
    refuse_learned([found.among([new])], 1)


def test_data_that_is_gone_is_no_proof(editor, drawn, monkeypatch):
    def gone(*_):
        raise FacekitError("there is no such folder", where="/data")

    monkeypatch.setattr("facekit_studio.edit_quality.learned.open_dataset", gone)
    (found,) = learned_photos(editor, [read_face(drawn, 0, side=256)], registry=load_registry())
    assert "its training photos cannot be read: there is no such folder (/data)" in found.note(1)
    assert found.document() == {"run": "small", "unknown": found.unknown}
    refuse_learned([found], 1)


def test_windows_are_looked_for_by_the_photos_they_are_cut_from():
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    options = spec.options(train=2, validation=1, test=1, windows={"per_photo": 3})
    windows = spec.build(options, DatasetContext(registry.label_maps))
    assert isinstance(windows, CutFromPhotos)
    assert windows.photos.splits().keys() == windows.splits().keys()
    assert len(windows.splits()["train"]) == 3 * len(windows.photos.splits()["train"])


def call(small_run, tmp_path, *more):
    arguments = ["evaluate-edits", str(small_run), "--data", "synthetic_faces", "--set", "train=12", "--set", "test=12"]
    arguments += ["--side", "256", "--limit", "2", "--device", "cpu", "--script", "raise_brows", "-o", str(tmp_path)]
    return CliRunner().invoke(cli, [*arguments, "--split", "train", "--real", "test", *more])


def test_the_command_refuses_them_or_says_so(small_run, tmp_path):
    refused = call(small_run, tmp_path)
    assert refused.exit_code == 2
    assert "small has learned from 2 of these 2 photos" in " ".join(refused.output.split())
    assert not (tmp_path / "edits.json").exists()
    allowed = call(small_run, tmp_path, "--allow-learned")
    assert allowed.exit_code == 0, allowed.output
    assert "may know them by heart" in " ".join(allowed.output.split())
    (script,) = json.loads((tmp_path / "edits.json").read_text())["scripts"]
    assert len(script["learned"][0]["found"]) == 2


def test_a_sound_run_has_nothing_to_say():
    assert Learned("run", 400).note(60) == ""
