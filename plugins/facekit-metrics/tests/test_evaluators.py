"""Evaluators: runs on drawn faces that are made evaluators, found again, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from facekit.cli.main import cli
from facekit.interfaces import FaceDataset, FacekitError
from facekit_metrics.evaluators import store
from facekit_metrics.evaluators.accuracy import balanced_accuracy, confusion, segmentation_figures
from facekit_metrics.evaluators.options import SegmenterOptions
from facekit_metrics.evaluators.trained import build


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="facekit")


def add(run: Path) -> Result:
    return call("evaluator", "add", str(run))


@pytest.fixture
def own_cache(evaluator_cache: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the evaluators and their runs that a test may damage."""
    shutil.copytree(evaluator_cache[0], tmp_path / "cache")
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestAdding:
    def test_its_own_accuracy_is_that_of_the_run(self, evaluator_cache: tuple[Path, str], evaluators: Path) -> None:
        kept = store.find("segmenter", "newest")
        assert kept.accuracy["pixel_accuracy"] > 0.2  # two passes over 48 faces teach it background and skin
        assert (kept.data["learned_from"], kept.data["tested_on"]) == (48, 16)
        assert kept.datasets == ("facekit/synthetic_faces",)
        for kind, names in (("segmenter", ("pixel_accuracy", "mean_iou")), ("attributes", ("accuracy/Smiling",))):
            (file,) = (evaluator_cache[0] / "runs" / kind / "evaluations").glob("*.json")
            found = {entry["name"]: entry["value"] for entry in json.loads(file.read_text())["measurements"]}
            accuracy = {name: 100 * share for name, share in store.find(kind, "newest").accuracy.items()}
            assert [accuracy[name] for name in names] == pytest.approx([found[name] for name in names])
        listed = call("evaluator", "ls").stdout
        assert "celebamask_hq, 48 photos of facekit/synthetic_faces" in listed
        assert "2 attributes, 48 photos of facekit/synthetic_faces" in listed

    def test_a_run_is_added_once(self, own_cache: Path) -> None:
        before = {kept.id for kept in store.kept_evaluators()}
        assert add(own_cache / "runs" / "segmenter").stdout.startswith("was there: segmenter ")
        assert {kept.id for kept in store.kept_evaluators()} == before

    def test_the_grid_shows_what_it_reads(self, evaluator_cache: tuple[Path, str]) -> None:
        assert list((evaluator_cache[0] / "runs" / "segmenter" / "samples").glob("*.png"))

    def test_data_that_changed_is_refused(self, own_cache: Path) -> None:
        """Else it would be asked about photos that it has learned from."""
        file = own_cache / "runs" / "segmenter" / "recipe.yaml"
        text = file.read_text()
        assert "train: 48" in text
        file.write_text(text.replace("train: 48", "train: 47"))
        result = add(file.parent)
        assert result.exit_code == 2
        assert "the data is not what this run was trained on" in result.stderr

    def test_first_weights_of_others_are_refused(
        self, own_cache: Path, tmp_path: Path, train: Callable[..., Result]
    ) -> None:
        """They have learned from photos that nobody kept."""
        setting = f"model.face_segmenter.weights={own_cache / 'runs' / 'segmenter'}"
        trained = train("segmenter", tmp_path / "further", setting, "train.steps=1")
        assert trained.exit_code == 0, trained.output
        result = add(tmp_path / "further")
        assert result.exit_code == 2
        assert "nobody knows which photos those have learned from" in result.stderr

    def test_attributes_in_which_all_agree_are_left_out(
        self, own_cache: Path, tmp_path: Path, train: Callable[..., Result]
    ) -> None:
        few = "{use: synthetic_faces, train: 6, validation: 6}"
        chosen = ["data.attributes=[Eyeglasses, Smiling, Wearing_Hat]", "train.steps=1", "train.batch=2"]
        trained = train("attributes", tmp_path / "few", *chosen, of=few)
        assert trained.exit_code == 0, trained.output
        assert add(tmp_path / "few").exit_code == 0
        kept = store.find("attributes", "newest")
        assert 0 < len(kept.attributes) < 3
        assert build_classifier(kept)(torch.zeros(1, 3, 64, 64)).shape == (1, len(kept.attributes))

    def test_mistakes_are_told(self, tmp_path: Path, evaluators: Path) -> None:
        assert add(tmp_path).exit_code == 2
        other = call("run", "spade", "--out", str(tmp_path / "run"), "--set", "train.steps=1", "--set", "data.size=32")
        assert other.exit_code == 0, other.output
        result = add(tmp_path / "run")
        assert result.exit_code == 2
        assert "no network face_segmenter or attribute_classifier" in result.stderr


def build_classifier(kept: store.KeptEvaluator) -> Callable[..., Any]:
    from facekit_metrics.evaluators.trained import TrainedClassifier

    return TrainedClassifier(kept)


def test_a_segmenter_reads_photos_of_any_size(
    evaluators: Path, drawn_faces: FaceDataset, read_faces: Callable[..., Any]
) -> None:
    segmenter = build(SegmenterOptions())
    photos = read_faces(drawn_faces, [0, 1, 2], 96)[0]
    together = segmenter(photos)
    assert together.shape == (3, 19, 96, 96)
    # Whatever else is in the batch.
    assert torch.equal(together, torch.cat([segmenter(photo[None]) for photo in photos]))
    assert segmenter.label_map.name == "celebamask_hq"
    assert segmenter.provenance.startswith("segmenter ")


def test_none_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    with pytest.raises(FacekitError, match="there is no segmenter") as caught:
        build(SegmenterOptions())
    assert "facekit run evaluators/segmenter" in str(caught.value.remedy)
    assert "facekit evaluator add --help" in call("evaluator", "ls").stdout


def test_found_by_id_folder_and_label_map(evaluators: Path) -> None:
    (kept,) = store.kept_evaluators("segmenter")
    assert store.find("segmenter", kept.id) == kept
    assert store.find("segmenter", str(kept.folder)) == kept
    with pytest.raises(FacekitError, match="for the label map other"):
        store.find("segmenter", "newest", label_map="other")
    with pytest.raises(FacekitError, match=f"no segmenter '{kept.id[:-1]}x'") as caught:
        store.find("segmenter", f"{kept.id[:-1]}x")
    assert kept.id in str(caught.value.remedy)


def test_damaged_weights_are_refused(own_cache: Path) -> None:
    (kept,) = store.kept_evaluators("segmenter")
    file = kept.folder / store.WEIGHTS
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    with pytest.raises(FacekitError, match="not those that were written"):
        build(SegmenterOptions())


def test_a_damaged_card_is_told(own_cache: Path) -> None:
    (kept,) = store.kept_evaluators("segmenter")
    card = json.loads((kept.folder / store.CARD).read_text())
    del card["label_map"]
    (kept.folder / store.CARD).write_text(json.dumps(card))
    with pytest.raises(FacekitError, match="no whole evaluator"):
        build(SegmenterOptions())


def test_figures_are_those_of_others() -> None:
    """Counted pixel by pixel with NumPy."""
    random = np.random.default_rng(0)
    truth, answer = random.integers(0, 5, (2, 3, 16, 16))
    answer[truth == 4] = 3  # a class that is never said
    figures = segmentation_figures(confusion(torch.from_numpy(truth), torch.from_numpy(answer), 6), "012345")
    assert figures["pixel_accuracy"] == pytest.approx((truth == answer).mean())
    ious = [((truth == c) & (answer == c)).sum() / ((truth == c) | (answer == c)).sum() for c in range(5)]
    # The sixth class occurs nowhere, and counts nowhere.
    assert [figures.get(f"iou/{number}") for number in range(6)] == [*map(pytest.approx, ious), None]
    assert figures["mean_iou"] == pytest.approx(np.mean(ious))
    with pytest.raises(ValueError, match="no pixels"):
        segmentation_figures(torch.zeros(3, 3, dtype=torch.int64), "012")
    assert balanced_accuracy(torch.tensor([True, False]), torch.tensor([True, True])) == 0.5


@pytest.mark.slow
def test_the_real_segmenter_is_good_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trains on real photos as docs/results.md says: ten minutes on one core."""
    data = Path(__file__).parents[4] / "shared" / "data" / "celebamask_hq_mini"
    if not data.is_dir():
        pytest.skip(f"needs real photos in {data}")
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    setting = f"data.of=[{{use: celebamask_hq, root: {data}}}]"
    trained = call("run", "evaluators/segmenter", "--out", str(tmp_path / "run"), "--set", setting)
    assert trained.exit_code == 0, trained.output
    assert add(tmp_path / "run").exit_code == 0
    kept = store.find("segmenter", "newest")
    print(f"{kept.accuracy['pixel_accuracy']:.4f} {kept.accuracy['mean_iou']:.4f}")
    assert kept.accuracy["pixel_accuracy"] >= 0.91
    assert kept.accuracy["mean_iou"] >= 0.60
