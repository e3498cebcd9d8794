"""Tuning to a photo: nearer to the photo, elsewhere as before, repeatable, kept, and refused where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from facekit.cli.main import cli
from facekit.inference import FacePipeline, load, read_provenance
from facekit.interfaces import GENERATOR, FacekitError, RunFailure
from facekit.registry import load_registry
from facekit_studio.commands.edit import MOST_TUNING_STEPS, TUNING_STEPS
from facekit_studio.editing import FaceTuner, PhotoEditor, TunedFace, TuningOptions
from facekit_studio.editing.script import parse_script
from facekit_studio.editing.tuning import fit
from facekit_studio.editing.tuning.fit import DEFAULT_STEPS, MOST_STEPS
from facekit_studio.editing.tuning.low_rank import tunable_weights

from ..conftest import HOLES

MakeFace = Callable[..., Any]
FEW = TuningOptions(steps=8)
OTHER_LOOK = "facekit_edit: 1\noperations: [{do: blend_reference, photo: b.png, mask: b-mask.png, amount: 0.5}]\n"
GROW = "facekit_edit: 1\noperations: [{do: set, region: hair, ellipse: {centre: [0.4, 0.4], radii: [0.2, 0.2]}}]\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tuned"


@pytest.fixture
def files(tmp_path: Path, face: MakeFace) -> Path:
    for index, stem in enumerate("ab"):
        one = face(index)
        one.photo.save(tmp_path / f"{stem}.png")
        one.mask.save(tmp_path / f"{stem}-mask.png")
    (tmp_path / "look.yaml").write_text(OTHER_LOOK)
    (tmp_path / "grow.yaml").write_text(GROW)
    return tmp_path


def arrays(face: MakeFace, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    one = face(seed)
    return np.asarray(one.photo), np.asarray(one.mask)


def error(image: np.ndarray, other: np.ndarray, where: np.ndarray | None = None) -> float:
    difference = np.abs(image.astype(float) - other.astype(float)).mean(axis=-1)
    return float(difference.mean() if where is None else difference[where].mean())


def own_style(pipeline: FacePipeline, image: np.ndarray, mask: np.ndarray) -> Any:
    return PhotoEditor(pipeline).encode(image, mask)


def same(one: TunedFace, other: TunedFace) -> bool:
    ours, theirs = one.change.tensors, other.change.tensors
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_nearer_to_the_photo_and_the_run_as_it_was(pipeline: FacePipeline, face: MakeFace) -> None:
    image, mask = arrays(face)
    before = {name: tensor.clone() for name, tensor in pipeline._model.state_dict().items()}
    editor = PhotoEditor(pipeline)
    untuned = editor.paint(mask, own_style(pipeline, image, mask))
    tuned = FaceTuner(pipeline, TuningOptions(steps=40)).tune(image, mask)
    generated = editor.paint(mask, tuned.style, tuned=tuned)
    assert error(generated, image) < 0.92 * error(untuned, image)
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipeline._model.state_dict().items())
    assert np.array_equal(editor.paint(mask, own_style(pipeline, image, mask)), untuned)
    assert tuned.pipeline.weights_sha256 == pipeline.weights_sha256


def test_changes_are_of_low_rank(pipeline: FacePipeline, face: MakeFace) -> None:
    tuned = FaceTuner(pipeline, TuningOptions(steps=3, rank=2)).tune(*arrays(face))
    ours, theirs = pipeline.networks.module(GENERATOR), tuned.pipeline.networks.module(GENERATOR)
    weights = tunable_weights(ours)
    assert len(weights) > 5
    for name, weight in weights.items():
        change = (theirs.get_parameter(name) - weight).flatten(1)
        assert 1 <= torch.linalg.matrix_rank(change.double(), rtol=1e-4) <= 2, name
    others = {name for name, _ in ours.named_parameters()} - weights.keys()
    assert all(torch.equal(ours.get_parameter(name), theirs.get_parameter(name)) for name in others)


def test_weights_that_layers_share_are_tuned_once_and_tables_not_at_all() -> None:
    first, second, table = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.Embedding(3, 4)
    second.weight = first.weight
    network = torch.nn.Sequential(first, second, table, torch.nn.LayerNorm(4), torch.nn.Conv2d(4, 2, 3))
    assert list(tunable_weights(network)) == ["0.weight", "4.weight"]


def test_without_the_locality_term_edits_drift_more(pipeline: FacePipeline, face: MakeFace) -> None:
    """What an edit shows where the mask changed must be what the run itself paints there."""
    image, mask = arrays(face)
    edited = mask.copy()
    edited[16:40, 20:44] = 13
    changed = mask != edited
    editor = PhotoEditor(pipeline)
    untuned = editor.paint(edited, own_style(pipeline, image, mask))
    drift = {}
    for locality in (0.0, 5.0):
        tuned = FaceTuner(pipeline, TuningOptions(steps=40, locality=locality)).tune(image, mask)
        drift[locality] = error(editor.paint(edited, tuned.style, tuned=tuned), untuned, changed)
    assert drift[5.0] < 0.8 * drift[0.0], drift


def test_the_same_again_bit_for_bit(styled_run: Path, face: MakeFace) -> None:
    image, mask = arrays(face)
    tuned = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(tuned))  # what is drawn elsewhere plays no part
        loaded = load(styled_run, device="cpu", precision="fp32")
        tuned.append(FaceTuner(loaded, FEW, seed=seed, keep=False).tune(image, mask))
    assert same(tuned[0], tuned[1])
    assert tuned[0].sha256 == tuned[1].sha256
    assert not same(tuned[0], tuned[2])


def test_kept_by_all_that_it_depends_on(pipeline: FacePipeline, face: MakeFace, cache: Path) -> None:
    image, mask = arrays(face)
    steps: list[int] = []

    def tune(options: TuningOptions = FEW, seed: int = 0, image: np.ndarray = image) -> TunedFace:
        steps.clear()
        return FaceTuner(pipeline, options, seed=seed, progress=lambda done, _: steps.append(done)).tune(image, mask)

    first = tune()
    assert steps == list(range(1, 9))
    again = tune()
    assert not steps
    assert again.found
    assert not first.found
    assert same(first, again)
    editor = PhotoEditor(pipeline)
    generated = [editor.paint(mask, each.style, tuned=each) for each in (first, again)]
    assert np.array_equal(*generated)
    for options, seed, photo in ((TuningOptions(steps=7), 0, image), (FEW, 1, image), (FEW, 0, 255 - image)):
        tune(options, seed, photo)
        assert steps
    assert len(list(cache.iterdir())) == 4
    named = load_file(next(cache.iterdir()))
    assert all(name == "code" or name.startswith(("up/", "down/")) for name in named)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_what_is_damaged_is_noticed_and_made_anew(
    pipeline: FacePipeline, face: MakeFace, cache: Path, damage: str
) -> None:
    image, mask = arrays(face)
    first = FaceTuner(pipeline, FEW).tune(image, mask)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-5] ^= 0x40
    file.write_bytes({"truncated": content[:-100], "flipped": content, "emptied": b""}[damage])
    again = FaceTuner(pipeline, FEW).tune(image, mask)
    assert not again.found
    assert "damaged" in again.note
    assert same(first, again)
    assert FaceTuner(pipeline, FEW).tune(image, mask).found


def test_what_ends_it_leaves_nothing(pipeline: FacePipeline, face: MakeFace, cache: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FaceTuner(pipeline, FEW, progress=stop).tune(*arrays(face))
    assert not cache.exists() or not list(cache.iterdir())


def test_a_cache_that_cannot_be_written_is_told(
    pipeline: FacePipeline, face: MakeFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunFailure, match="cannot be kept"):
        FaceTuner(pipeline, TuningOptions(steps=1)).tune(*arrays(face))


def test_runs_that_cannot_be_tuned(plain_run: Path, filling_run: Path) -> None:
    with pytest.raises(FacekitError, match="no style encoder"):
        FaceTuner(load(plain_run, device="cpu"))
    with pytest.raises(FacekitError, match="fills in parts"):
        FaceTuner(load(filling_run, device="cpu", registry=load_registry(HOLES)))


def test_other_masks_differ_in_places_only() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.long)
    mask[:, 16:48, 16:48] = 1
    found = fit.other_masks(mask, 19, torch.Generator().manual_seed(0))
    assert len(found) == fit.OTHER_MASKS
    for other in found:
        assert other.dtype == torch.long
        assert 0 < (other != mask).float().mean() < 0.4
        assert 0 <= int(other.min()) <= int(other.max()) < 19
    image, before = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    target = fit.kept_apart(before, image, mask, found[0])
    assert not target[:, 0][mask != found[0]].any()
    assert target.mean() > 0.2


def edit(run: Path, files: Path, *more: str, script: str = "look.yaml", output: str = "out.png") -> Any:
    words = ["edit", str(run), str(files / "a.png"), "--mask", str(files / "a-mask.png"), "--device", "cpu"]
    words += ["--script", str(files / script), "-o", str(files / output), *more]
    return CliRunner().invoke(cli, words, prog_name="facekit")


def test_on_the_command_line(styled_run: Path, files: Path, cache: Path) -> None:
    tuned = edit(styled_run, files, "--tune", "6", "--json")
    assert tuned.exit_code == 0, tuned.output
    (item,) = json.loads(tuned.stdout)
    assert item["outcome"] == "written"
    assert "tuned to the photo (6 steps" in item["message"]
    record = read_provenance(files / "out.png")
    assert record is not None
    assert record["tuning"] == {"method": 1, "steps": 6, "rank": 4, "locality": 1.0}
    assert record["seed"] == 0
    (file,) = cache.iterdir()
    assert len(record["tuned_sha256"]) == 64
    shown = CliRunner().invoke(cli, ["provenance", str(files / "out.png")], prog_name="facekit")
    assert "tuned_sha256" in shown.output
    assert json.loads(edit(styled_run, files, "--tune", "6", "--json").stdout)[0]["outcome"] == "skipped"
    for other in ((), ("--tune", "5"), ("--tune", "6", "--seed", "1")):
        refused = edit(styled_run, files, *other)
        assert refused.exit_code == 2
        assert "tuning" in refused.stderr
    made = np.asarray(Image.open(files / "out.png"))
    edit(styled_run, files, output="untuned.png")
    assert not np.array_equal(made, np.asarray(Image.open(files / "untuned.png")))
    # Another script on the same photo takes what was tuned.
    again = edit(styled_run, files, "--tune", "6", script="grow.yaml", output="grown.png")
    assert "tuned to the photo before" in again.stderr
    assert list(cache.iterdir()) == [file]


def test_a_run_that_cannot_be_tuned_is_refused_on_the_command_line(plain_run: Path, files: Path) -> None:
    refused = edit(plain_run, files, "--tune", script="grow.yaml")
    assert refused.exit_code == 2
    assert "no style encoder" in refused.stderr
    assert "leave out --tune" in refused.stderr
    assert not (files / "out.png").exists()
    assert edit(plain_run, files, "--tune", "0", script="grow.yaml").exit_code == 2


def test_edits_of_a_part_are_filled_in_and_not_tuned(
    styled_run: Path, filling_run: Path, face: MakeFace, cache: Path
) -> None:
    registry = load_registry(HOLES)
    pipeline = load(styled_run, device="cpu", registry=registry)
    local = load(filling_run, device="cpu", registry=registry)
    editor = PhotoEditor(pipeline, local=local, tuner=FaceTuner(pipeline, TuningOptions(steps=2)))
    image, mask = arrays(face)
    opened = editor.open_aligned(image, editor.read_mask(Image.fromarray(mask)), mask_source="test")
    small = "facekit_edit: 1\noperations: [{do: set, region: hair, ellipse: {centre: [0.4, 0.4], radii: [0.1, 0.1]}}]\n"
    edited = editor.edit(opened, parse_script(small))
    assert edited.local
    assert edited.tuned is None
    assert "nothing is tuned" in edited.notes[-1]
    assert not cache.exists()


def test_the_command_line_knows_the_defaults(pipeline: FacePipeline) -> None:
    assert (TUNING_STEPS, MOST_TUNING_STEPS) == (DEFAULT_STEPS, MOST_STEPS)
    assert TuningOptions().steps == DEFAULT_STEPS
    with pytest.raises(ValueError, match="the tuner has the seed 1"):
        PhotoEditor(pipeline, tuner=FaceTuner(pipeline, seed=1))
