"""extends, merging and overrides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facekit.interfaces import FacekitError
from facekit.recipe import RecipeError, ResolvedRecipe, layers, read_recipe
from facekit.recipe.library import find_recipe
from facekit.registry import Registry, hookimpl


def _errors(registry: Registry, path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, registry=registry, overrides=overrides)
    return str(caught.value)


@pytest.fixture
def child(good_recipe: Path, catalogue: Registry):  # type: ignore[no-untyped-def]
    """Write a recipe that extends the good one, and read it."""

    def make(text: str, *overrides: str) -> ResolvedRecipe:
        path = good_recipe.with_name("child.yaml")
        path.write_text(text, encoding="utf-8")
        return read_recipe(path, registry=catalogue, overrides=overrides)

    return make


def test_maps_merge_and_lists_replace(child) -> None:  # type: ignore[no-untyped-def]
    recipe = child("extends: good.yaml\ntrain: {batch: 2}\nmetrics:\n  - use: psnr\n")
    assert (recipe.train.batch, recipe.train.seed, recipe.train.optimiser.lr) == (2, 7, 2e-4)
    assert [metric.component.spec.name for metric in recipe.metrics] == ["psnr"]
    assert recipe.updates.optimiser.choice.options.betas == (0.5, 0.999)


def test_name_and_description_are_not_inherited(child) -> None:  # type: ignore[no-untyped-def]
    recipe = child("extends: good.yaml\n")
    assert (recipe.name, recipe.description) == ("child", "")
    assert child("extends: good.yaml\nname: other\n").name == "other"


def test_a_changed_use_drops_the_options_beside_it(child) -> None:  # type: ignore[no-untyped-def]
    recipe = child("extends: good.yaml\ndata: {use: drawn_faces}\n")
    assert recipe.dataset.options.model_dump() == {"count": 400, "classes": 19}
    assert (recipe.data.size, recipe.data.reference.crop) == (128, 0.8)  # these belong to the core


def test_the_same_use_keeps_the_options(child) -> None:  # type: ignore[no-untyped-def]
    recipe = child("extends: good.yaml\ndata: {use: fake/photo_folder, limit: 3}\n")
    assert recipe.dataset.options.model_dump() == {"root": "data/faces", "split": "index", "limit": 3}


def test_a_changed_optimiser_keeps_its_rate(child) -> None:  # type: ignore[no-untyped-def]
    recipe = child("extends: good.yaml\n", "train.optimiser.use=adamw", "train.optimiser.lr=1e-3")
    assert (recipe.train.optimiser.use, recipe.train.optimiser.lr) == ("facekit/adamw@1", 1e-3)
    assert child("extends: good.yaml\n", "train.optimiser.use=adamw").train.optimiser.lr == 2e-4


def test_later_bases_win_and_the_file_wins_over_all(child, good_recipe: Path) -> None:  # type: ignore[no-untyped-def]
    (good_recipe.parent / "sub").mkdir()
    (good_recipe.parent / "sub" / "batch.yaml").write_text("extends: ../good.yaml\ntrain: {batch: 9, seed: 9}\n")
    recipe = child("extends: [good.yaml, sub/batch.yaml]\ntrain: {seed: 1}\n")
    assert (recipe.train.batch, recipe.train.seed) == (9, 1)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("extends: good.yaml\n", (), (None, 28.0)),
        ("extends: good.yaml\ntrain: {steps: 5}\n", (), (5, None)),
        ("extends: good.yaml\n", ("train.steps=5",), (5, None)),
        ("extends: good.yaml\ntrain: {steps: 5}\n", ("train.epochs=2",), (None, 2.0)),
        ("extends: good.yaml\n", ("train.steps=5", "train.epochs=2"), (None, 2.0)),
        ("extends: good.yaml\n", ("train.epochs=2", "train.steps=5"), (5, None)),
        ("extends: good.yaml\ntrain: {steps: null, epochs: 3}\n", (), (None, 3.0)),
    ],
)
def test_of_steps_and_epochs_the_last_wins(  # type: ignore[no-untyped-def]
    child, text: str, overrides: tuple[str, ...], expected: tuple[int | None, float | None]
) -> None:
    train = child(text, *overrides).train
    assert (train.steps, train.epochs) == expected


def test_steps_and_epochs_in_one_file(good_recipe: Path, catalogue: Registry) -> None:
    good_recipe.write_text(good_recipe.read_text().replace("  batch: 4\n", "  batch: 4\n  steps: 3\n"))
    message = _errors(catalogue, good_recipe)
    assert "good.yaml:39:3: train.steps: train.epochs in line 37 already says how long to train" in message
    assert "mistakes" not in message  # said once


def test_circles_are_shown(tmp_path: Path, catalogue: Registry) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("facekit: 1\nextends:\n  - a.yaml\n")
    message = _errors(catalogue, tmp_path / "a.yaml")
    assert "b.yaml:3:5: extends: the recipe extends itself" in message
    assert f"{tmp_path}/a.yaml -> {tmp_path}/b.yaml -> {tmp_path}/a.yaml" in message


def test_a_chain_in_which_each_extends_the_next_twice_reads_each_file_once(
    good_recipe: Path, catalogue: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = layers.read_text
    monkeypatch.setattr(layers, "read_text", lambda file, **rest: read.append(file) or real(file, **rest))
    for number in range(24):
        base = "good.yaml" if number == 23 else f"{number + 1}.yaml"
        (good_recipe.parent / f"{number}.yaml").write_text(f"extends: [{base}, {base}]\n")
    assert read_recipe(good_recipe.parent / "0.yaml", registry=catalogue).train.batch == 4
    assert len(read) == len(set(read)) == 25


def test_a_chain_that_is_too_long_is_told_once(tmp_path: Path, catalogue: Registry) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    message = _errors(catalogue, tmp_path / "0.yaml")
    assert message.count("more than 50 in a row") == 1
    assert "50.yaml:1:10: extends: " in message


def test_a_list_that_is_too_long_is_told_once(good_recipe: Path, catalogue: Registry) -> None:
    child = good_recipe.with_name("child.yaml")
    child.write_text(f"extends: [{', '.join(['good.yaml'] * 5000)}]\n")
    assert _errors(catalogue, child).count("extends more than 200 others") == 1


@pytest.mark.parametrize("name", ['"a\\0b.yaml"', '"a\\ud800.yaml"', '"a\\udce9"'])
def test_bases_whose_names_are_no_text(good_recipe: Path, catalogue: Registry, name: str) -> None:
    child = good_recipe.with_name("child.yaml")
    child.write_text(f"extends: {name}\n")
    assert "child.yaml:1:10: extends: the character U+" in _errors(catalogue, child)


def test_a_pipe_is_no_recipe(good_recipe: Path, catalogue: Registry) -> None:
    os.mkfifo(good_recipe.with_name("pipe.yaml"))
    child = good_recipe.with_name("child.yaml")
    child.write_text("extends: pipe.yaml\n")
    assert "this is a FIFO, not a regular file" in _errors(catalogue, child)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.yaml", "a\ud800.yaml", ""])
def test_names_that_no_file_can_have(catalogue: Registry, name: str) -> None:
    with pytest.raises(FacekitError, match="recipe") as raised:
        find_recipe(name, registry=catalogue)
    assert len(str(raised.value)) < 1000


def test_a_base_may_be_used_twice(child, good_recipe: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("left", "right"):
        (good_recipe.parent / f"{name}.yaml").write_text("extends: good.yaml\n")
    assert child("extends: [left.yaml, right.yaml]\n").train.batch == 4


def test_mistakes_in_a_base_are_shown_in_the_base(good_recipe: Path, catalogue: Registry) -> None:
    good_recipe.write_text(good_recipe.read_text().replace("blocks: 4", "blocks: four"))
    child = good_recipe.with_name("child.yaml")
    child.write_text("extends: good.yaml\ntrain: {batchh: 3}\n")
    message = _errors(catalogue, child)
    assert "good.yaml:18:13: model.generator.blocks: expected a whole number, found the text 'four'" in message
    assert "child.yaml:2:9: train.batchh: unknown key 'batchh'; did you mean 'batch'?" in message
    assert message.endswith("2 mistakes")


def test_shipped_recipes_are_extended_by_name(child, good_recipe: Path, catalogue: Registry) -> None:  # type: ignore[no-untyped-def]
    class Plugin:
        @hookimpl
        def facekit_recipes(self) -> list[Path]:
            return [good_recipe]

    catalogue.plugins.register(Plugin(), name="more")
    recipe = child("extends: good\ntrain: {batch: 2}\n")
    assert (recipe.train.batch, recipe.train.seed) == (2, 7)
    # A file or folder of that name comes first.
    good_recipe.with_name("good").write_text("extends: good.yaml\ntrain: {seed: 8}\n")
    assert child("extends: good\n").train.seed == 8
    message = _errors(
        catalogue, _written(good_recipe.with_name("other.yaml"), "extends: [good.yaml, sft_pix2pixhdd]\n")
    )
    assert "other.yaml:1:22: extends: there is no such recipe 'sft_pix2pixhdd', neither a file nor" in message
    assert "did you mean 'sft_pix2pixhd'" in message
    assert "extends itself" in _errors(catalogue, _written(good_recipe, "extends: good.yaml\n"))


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_missing_files(tmp_path: Path, catalogue: Registry) -> None:
    (tmp_path / "recipe.yaml").write_text("extends: bse.yaml\n")
    (tmp_path / "base.yaml").write_text("facekit: 1\n")
    assert "did you mean 'base.yaml'" in _errors(catalogue, tmp_path / "recipe.yaml")
    message = _errors(catalogue, tmp_path / "recipee.yaml")
    assert message.startswith(f"{tmp_path}/recipee.yaml: there is no such recipe file; did you mean 'recipe.yaml' or ")
    assert "is a folder" in _errors(catalogue, tmp_path)
    assert "is a folder" in _errors(catalogue, Path("/"))


def test_bytes_that_are_not_utf_8(tmp_path: Path, catalogue: Registry) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"facekit: 1\nname: caf\xe9\n")
    assert f"{path}:2:10: the byte 0xe9 is not UTF-8" in _errors(catalogue, path)
    path.write_bytes(b"\x00" * (2**20 + 1))
    assert "larger than 1 MiB" in _errors(catalogue, path)


def test_a_byte_order_mark_is_no_mistake(good_recipe: Path, catalogue: Registry) -> None:
    good_recipe.write_bytes(b"\xef\xbb\xbf" + good_recipe.read_bytes())
    assert read_recipe(good_recipe, registry=catalogue).name == "good"


def test_overrides_reach_into_lists(good_recipe: Path, catalogue: Registry) -> None:
    recipe = read_recipe(
        good_recipe,
        registry=catalogue,
        overrides=["losses.generator[1].weight=5", "losses.generator.0.label=gan", "losses.generator[2].layers=[a]"],
    )
    assert [(loss.label, loss.weight) for loss in recipe.losses_of("generator")] == [
        ("gan", 1.0),
        ("feature_matching", 5.0),
        ("perceptual", 10.0),
    ]
    assert recipe.losses_of("generator")[2].choice.options.model_dump()["layers"] == ("a",)


def test_an_override_reaches_into_a_list_that_an_earlier_one_set(good_recipe: Path, catalogue: Registry) -> None:
    overrides = ["losses.generator=[{use: l1}]", "losses.generator[0].weight=3", "metrics=null"]
    recipe = read_recipe(good_recipe, registry=catalogue, overrides=overrides)
    assert [(loss.label, loss.weight) for loss in recipe.losses_of("generator")] == [("l1", 3.0)]
    assert recipe.metrics == ()


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_overrides_does_not_matter(good_recipe: Path, catalogue: Registry, reverse: bool) -> None:
    overrides = ["data.use=drawn_faces", "data.count=12", "data.classes=7", "data.size=64"]
    recipe = read_recipe(good_recipe, registry=catalogue, overrides=overrides[::-1] if reverse else overrides)
    assert recipe.dataset.options.model_dump() == {"count": 12, "classes": 7}
    assert recipe.data.size == 64


def test_of_two_overrides_of_one_thing_the_later_wins(good_recipe: Path, catalogue: Registry) -> None:
    recipe = read_recipe(good_recipe, registry=catalogue, overrides=["train.batch=2", "train={batch: 3}"])
    assert recipe.train.batch == 3


def test_null_takes_a_part_away(good_recipe: Path, catalogue: Registry) -> None:
    recipe = read_recipe(
        good_recipe,
        registry=catalogue,
        overrides=["model.discriminator=null", "losses.discriminator=null", "losses.generator=[{use: l1}]"],
    )
    assert recipe.model.get("discriminator") is None
    assert [slot for slot, _ in recipe.model.components()] == ["style_encoder", "generator"]


def test_overrides_are_quoted_with_a_caret(good_recipe: Path, catalogue: Registry) -> None:
    message = _errors(catalogue, good_recipe, "train.batch=4", "model.generator.blocks=x")
    assert message == (
        "--set model.generator.blocks=x:1:24: model.generator.blocks: expected a whole number, found the text 'x'\n"
        "  model.generator.blocks=x\n"
        "                         ^"
    )


def test_all_mistakes_are_reported_in_one_go(good_recipe: Path, catalogue: Registry) -> None:
    good_recipe.write_text(
        good_recipe.read_text()
        .replace("size: 128", "size: big")
        .replace("use: adain_global", "use: adain_globl")
        .replace("scales: 2", "scales: 9")
        .replace("{use: feature_matching, weight: 10}", "{use: feature_matching, wieght: 10}")
        .replace("  seed: 7", "  sed: 7")
    )
    with pytest.raises(RecipeError) as caught:
        read_recipe(good_recipe, registry=catalogue, overrides=["train.ema.decay=2", "nothing"])
    assert [(problem.path, problem.mark.line) for problem in caught.value.problems] == [
        ("data.size", 9),
        ("model.generator.use", 16),
        ("model.discriminator.scales", 21),
        ("losses.generator[1].wieght", 25),
        ("train.sed", 39),
        ("", 1),
        ("train.ema.decay", 1),
    ]
    assert caught.value.exit_code == 2


def _losses(recipe: ResolvedRecipe, player: str = "generator") -> list[tuple[str, float]]:
    return [(loss.label, loss.weight) for loss in recipe.losses if loss.player == player]


def test_items_of_lists_are_named_by_component_or_label(child) -> None:  # type: ignore[no-untyped-def]
    before = dict(_losses(child("extends: good.yaml\n")))
    after = dict(_losses(child("extends: good.yaml\n", "losses.generator[feature_matching].weight=3.5")))
    assert after == {**before, "feature_matching": 3.5}


def test_null_takes_an_item_away_and_plus_adds_one(child) -> None:  # type: ignore[no-untyped-def]
    before = _losses(child("extends: good.yaml\n"))
    changed = child(
        "extends: good.yaml\n",
        "losses.generator[feature_matching]=null",
        "losses.generator[0].weight=2",
        "losses.generator[+]={use: l1, weight: 4}",
        "losses.generator[+]={use: l1, label: again}",
    )
    kept = [(label, weight) for label, weight in before if label != "feature_matching"]
    kept[0] = (kept[0][0], 2.0)
    assert _losses(changed) == [*kept, ("l1", 4.0), ("again", 1.0)], "positions are those before anything is taken away"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("losses.generator[feature_matchin]=null", "did you mean 'feature_matching'?"),
        ("losses.generator[nothing_like_it].weight=1", "losses.generator has no item called 'nothing_like_it'"),
        ("model[+]={use: l1}", "model is a map, so it has no position [+]"),
        ("losses.generator[+]=3", "expected a map with `use:`, found the number 3"),
    ],
)
def test_items_that_are_not_there(good_recipe: Path, catalogue: Registry, override: str, message: str) -> None:
    assert message in _errors(catalogue, good_recipe, override)


def test_two_items_of_one_name_need_a_position(good_recipe: Path, catalogue: Registry) -> None:
    added = "losses.generator[+]={use: feature_matching, label: again}"
    good_recipe.with_name("twice.yaml").write_text("extends: good.yaml\n")
    text = _errors(catalogue, good_recipe, added, added, "losses.generator[nope]=null")
    assert "no item called 'nope'" in text


def test_a_grid_is_no_recipe(tmp_path: Path, catalogue: Registry) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text("ablation: 1\nbase: good.yaml\n")
    text = _errors(catalogue, grid)
    assert text.startswith(f"{grid}:1:1: ablation: this is a grid of runs, not a recipe")
    assert "`facekit ablate`" in text
