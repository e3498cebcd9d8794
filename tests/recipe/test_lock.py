"""The locked recipe reads back to an equal recipe, and YAML survives the round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.recipe import RecipeError, dump_document, dump_recipe, read_recipe, recipe_from_document
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import PluginSet, Registry

OVERRIDES = (
    "losses.generator[2].weights={relu1: 0.5}",
    "losses.generator[1].label=features",
    "train.keep={best: psnr, last: 3}",
    "train.evaluate_every=50",
    "train.initialise=[{part: generator, weights: runs/1}]",
    "train.freeze=[{part: generator.first, until: 0.5}]",
    "model.generator.dropout=auto",
    "train.steps=10",
    "description='on: 1e-4 # \"quoted\" \\ é'",
)


@pytest.mark.parametrize("overrides", [(), OVERRIDES])
def test_reads_back_to_an_equal_recipe(good_recipe: Path, catalogue: Registry, overrides: tuple[str, ...]) -> None:
    recipe = read_recipe(good_recipe, registry=catalogue, overrides=overrides)
    assert recipe_from_document(recipe.document, registry=catalogue, name="recipe.yaml") == recipe
    locked = good_recipe.with_name("recipe.yaml")
    locked.write_text(dump_recipe(recipe), encoding="utf-8")
    again = read_recipe(locked, registry=catalogue)
    assert again == recipe
    assert again.document == recipe.document
    assert dump_recipe(again) == dump_recipe(recipe)


def test_recipes_that_differ_are_not_equal(good_recipe: Path, catalogue: Registry) -> None:
    recipe = read_recipe(good_recipe, registry=catalogue)
    assert recipe != read_recipe(good_recipe, registry=catalogue, overrides=["model.generator.padding=zero"])


def test_every_default_is_written_out(good_recipe: Path, catalogue: Registry) -> None:
    document = yaml.safe_load(dump_recipe(read_recipe(good_recipe, registry=catalogue)))
    assert document["data"]["workers"] == 1
    assert document["data"]["limit"] is None
    schedule = {"use": "facekit/linear_decay@1", "decay_from": 0.5, "warmup_steps": 0, "of": {}}
    assert document["train"]["schedule"] == schedule
    assert document["losses"]["generator"][0]["label"] == "adversarial"
    assert document["model"]["generator"]["use"] == "fake/adain_global@1"
    assert list(document) == ["facekit", "name", "description", "data", "model", "losses", "metrics", "train"]


def test_a_locked_recipe_says_what_is_missing(good_recipe: Path, catalogue: Registry) -> None:
    document = read_recipe(good_recipe, registry=catalogue).document
    with pytest.raises(RecipeError) as caught:
        recipe_from_document(document, registry=Registry(PluginSet({})), name="runs/1/recipe.yaml")
    line = dump_document(document).splitlines().index("  use: fake/photo_folder@1") + 1
    assert f"runs/1/recipe.yaml:{line}:8: data.use: no dataset is called 'fake/photo_folder'" in str(caught.value)


# No file or name holds these, and recipes refuse them.
_characters = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
_texts = st.text(_characters, max_size=20) | st.sampled_from(
    [
        "1e-4",
        "2E5",
        "0o17",
        "0x1f",
        "on",
        "yes",
        "null",
        "~",
        "",
        "true",
        "1_000",
        "1:30",
        ".5",
        "5.",
        "- a",
        "#x",
        "*a",
    ]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_texts.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_values)
def test_any_plain_data_survives(value: Any) -> None:
    text = dump_document({"key": value})
    problems = Problems()
    node = parse_yaml(text, marks=file_marks(text, "f"), problems=problems)
    assert not problems.found, (text, problems.found)
    assert node is not None
    assert plain(node) == {"key": value}
    assert yaml.safe_load(text) == {"key": value}  # other readers see the same
