"""Grids: what they say, every mistake at its place, and what a run is known by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facekit.experiments.grid import read_grid
from facekit.experiments.jobs import AblationFolder, Cell, cell_key, resolve_cells, slug, weights_digest, write_failure
from facekit.experiments.settings import parse_seeds
from facekit.interfaces import FacekitError
from facekit.recipe import RecipeError
from facekit.registry import Registry

GRID = """\
ablation: 1
base: good.yaml
steps: 40
seeds: [3, 4]
set: {train.batch: 6}
metrics: [{use: psnr}]
reference: full
rows:
  full:
  no matching: {set: {"losses.generator[feature_matching]": null}}
  copy: {baseline: copy_reference}
"""

Resolve = Callable[..., list[Cell]]


@pytest.fixture
def write(good_recipe: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = good_recipe.with_name("grid.yaml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def resolve(write: Callable[[str], Path], catalogue: Registry) -> Resolve:
    def resolve(text: str = GRID, *overrides: str, seeds: tuple[int, ...] | None = None) -> list[Cell]:
        grid = read_grid(write(text), registry=catalogue)
        return resolve_cells(grid, registry=catalogue, overrides=overrides, seeds=seeds)

    return resolve


def faces(fingerprint: str = "f") -> Any:
    """Packed faces of this content; nothing else of them is looked at."""
    return SimpleNamespace(fingerprint=fingerprint)


def test_every_row_with_every_seed(resolve: Resolve) -> None:
    cells = resolve()
    assert [(cell.row.name, cell.seed) for cell in cells] == [
        ("full", 3),
        ("full", 4),
        ("no matching", 3),
        ("no matching", 4),
        ("copy", None),
    ]
    first, _, third, _, last = cells
    assert [cell.recipe.train.seed for cell in cells[:4]] == [3, 4, 3, 4]
    assert {cell.recipe.train.batch for cell in cells} == {6}
    assert [cell.steps for cell in cells] == [40, 40, 40, 40, 0]
    assert [metric.component.spec.name for metric in first.recipe.metrics] == ["psnr"]
    assert "feature_matching" in [loss.label for loss in first.recipe.losses]
    assert "feature_matching" not in [loss.label for loss in third.recipe.losses]
    assert first.recipe.document["train"]["seed"] == 3
    assert first.recipe.name == "full, seed 3"
    assert last.weights == "baseline/copy_reference"


@pytest.mark.parametrize(
    ("ema", "weights"), [("{decay: 0.9}", "ema"), ("{half_life: 1000}", "ema"), ("{decay: 0}", "live")]
)
def test_runs_without_an_average_are_measured_by_their_live_weights(resolve: Resolve, ema: str, weights: str) -> None:
    assert resolve(GRID, f"train.ema={ema}")[0].weights == weights


def test_a_grid_of_values_multiplies_the_rows_that_are_trained(resolve: Resolve) -> None:
    text = GRID.replace("reference: full\n", "")
    cells = resolve(text + "grid:\n  model.discriminator.scales: [1, 2]\n  train.optimiser.lr: [1e-4, 2e-4]\n")
    names = list(dict.fromkeys(cell.row.name for cell in cells))
    assert names[:4] == [f"full, scales {scales}, lr {lr}" for scales in (1, 2) for lr in ("0.0001", "0.0002")]
    assert len(names) == 2 * 4 + 1
    assert {cell.recipe.train.optimiser.lr for cell in cells if "lr 0.0002" in cell.row.name} == {2e-4}
    head = "ablation: 1\nbase: good.yaml\nsteps: 4\nseeds: [0]\n"
    only = resolve(head + "grid: {model.discriminator.scales: [1, 2, 3]}\n")
    assert [cell.row.name for cell in only] == ["scales 1", "scales 2", "scales 3"]


def test_overrides_and_seeds_of_the_call_are_for_all_rows(resolve: Resolve) -> None:
    cells = resolve(GRID, "train.steps=7", "train.batch=2", seeds=(9,))
    assert [(cell.seed, cell.steps, cell.recipe.train.batch) for cell in cells[:2]] == [(9, 7, 2), (9, 7, 2)]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("ablation: 1", "ablation: 2", "1:11", "this facekit reads grid format 1"),
        ("ablation: 1", "facekit: 1", "1:1", "a recipe is run with `facekit run`"),
        ("base: good.yaml", "base: goood.yaml", "2:7", "'goood.yaml' is neither a recipe file"),
        ("steps: 40", "steps: 0", "3:8", "steps"),
        ("seeds: [3, 4]", "seeds: [3, 3]", "4:8", "a seed stands twice"),
        ("seeds: [3, 4]", "sedes: [3, 4]", "4:1", "unknown key 'sedes'; did you mean 'seeds'"),
        ("train.batch: 6", "train.bach: 6", "5:13", "unknown key 'bach'; did you mean 'batch'?"),
        ("train.batch: 6", "train.steps: 6", "5:13", "the budget is the same for all rows"),
        ("train.batch: 6", "train: {seed: 6}", "5:15", "each row is trained with every seed"),
        ("reference: full", "reference: ful", "7:12", "there is no row 'ful'; did you mean 'full'?"),
        ("[feature_matching]", "[feature_matchin]", "10:40", "did you mean 'feature_matching'?"),
        ("baseline: copy_reference", "baseline: copy_refrence", "11:20", "did you mean 'copy_reference'?"),
        ("baseline: copy_reference", "baseline: copy_reference, base: good.yaml", "11:3", "give base or baseline"),
        ("  full:\n", "  full: 3\n", "9:9", "expected a map, found the number 3"),
        ("metrics: [{use: psnr}]", "metrics: [{use: psnrr}]", "6:17", "did you mean 'psnr'?"),
        ("metrics: [{use: psnr}]", "metrics: []", "9:3", "nothing is measured"),
        ("rows:", "columns: []\nrows:", "8:10", "columns"),
    ],
)
def test_mistakes_have_places(resolve: Resolve, old: str, new: str, place: str, message: str) -> None:
    assert old in GRID
    with pytest.raises(RecipeError) as caught:
        resolve(GRID.replace(old, new, 1))
    text = str(caught.value)
    assert f"grid.yaml:{place}: " in text, text
    assert message in text


def test_a_mistake_in_all_rows_is_told_once(resolve: Resolve) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(GRID.replace("train.batch: 6", "train.bach: 6"))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("text", ["0-99999999999", "0-1000", f"0-{'9' * 5000}", "9" * 5000, "0-600,1000-1600"])
def test_too_many_seeds_are_refused(text: str) -> None:
    with pytest.raises(FacekitError, match="names more than 1,000 seeds") as raised:
        parse_seeds(text)
    assert len(str(raised.value)) < 200
    assert len(parse_seeds("0-999")) == 1000


def test_seeds_are_no_override(resolve: Resolve) -> None:
    with pytest.raises(RecipeError, match="use --seeds"):
        resolve(GRID, "train.seed=3")


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0,2", (0, 2)), ("1-3", (1, 2, 3)), ("5, 0-1", (5, 0, 1))])
def test_seeds_of_the_command_line(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,1", "3-1", "-1"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(FacekitError, match="seed"):
        parse_seeds(text)


def test_a_run_is_known_by_what_decides_its_result(resolve: Resolve) -> None:
    def key(text: str = GRID, *overrides: str, content: str = "f") -> str:
        return cell_key(resolve(text, *overrides)[0], faces(content))

    known = key()
    same = [
        key(GRID.replace("  full:", "  whole:").replace("reference: full", "reference: whole")),
        key(GRID.replace("{use: psnr}", "{use: style_following}")),
        key(GRID, "train.log_every=1"),
        key(GRID, "train.checkpoint_every=3"),
        key(GRID, "train.device=cpu"),
        key(GRID, "data.workers=0"),
        key(GRID, "data.cache=somewhere_else"),
    ]
    assert set(same) == {known}
    others = [
        key(GRID.replace("[3, 4]", "[5, 4]")),
        key(GRID, "train.steps=41"),
        key(GRID, "train.optimiser.lr=1e-3"),
        key(GRID, "model.discriminator.scales=1"),
        key(GRID, "losses.generator[perceptual].weight=3"),
        key(GRID, "data.mirror=false"),
        key(content="other faces"),
    ]
    assert known not in others
    assert len(set(others)) == len(others)


def test_weights_to_start_from_count_by_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"1")
    second.write_bytes(b"1")
    assert weights_digest(first) == weights_digest(second)
    second.write_bytes(b"2")
    assert weights_digest(first) != weights_digest(second)
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(FacekitError, match="no checkpoint"):
        weights_digest(run)
    manifest = run / "checkpoints" / "step-00000004" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert weights_digest(run)


def test_how_far_a_cell_is(resolve: Resolve, tmp_path: Path) -> None:
    cell, folder = resolve()[0], AblationFolder(tmp_path / "out")
    run = folder.run(cell, "k" * 12)
    assert run.name == f"full-seed3-{'k' * 12}"
    assert folder.state(cell, "k" * 12).stage == "new"
    (run / "checkpoints" / "step-00000010").mkdir(parents=True)
    (run / "recipe.yaml").write_text("facekit: 1\n")
    assert (folder.state(cell, "k" * 12).stage, folder.state(cell, "k" * 12).step) == ("half-trained", 10)
    (run / "checkpoints" / "step-00000040").mkdir()
    assert folder.state(cell, "k" * 12).stage == "trained"
    write_failure(folder.failure("k" * 12), "out of luck")
    assert folder.state(cell, "k" * 12).error == "out of luck"
    evaluation = folder.evaluation(cell, "k" * 12)
    evaluation.parent.mkdir()
    evaluation.write_text("{}")
    assert folder.state(cell, "k" * 12).stage == "done"
    renamed = replace(cell, row=replace(cell.row, name="another name"))
    assert folder.run(renamed, "k" * 12) == run, "a run is found by its key, whatever its row is called"


def test_slugs() -> None:
    assert slug("SFT/AdaIN pix2pixHD (G1 only)") == "sft-adain-pix2pixhd-g1-only"
    assert slug("***") == "row"
