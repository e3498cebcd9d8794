"""Recipe fragments: each shipped component's stands in a recipe that holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from facekit.components.describe import describe_component
from facekit.interfaces import NoOptions
from facekit.recipe import DataSettings, RecipeError, read_recipe
from facekit.recipe.dump import dump_fragment, dump_value, recipe_fragment
from facekit.recipe.merging import merge
from facekit.recipe.network_kinds import NETWORK_KINDS, core_settings
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.schema_check import check_schema
from facekit.recipe.settings import NetworkSettings
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import ComponentSpec, PluginSet, RegisteredComponent, Registry, hookimpl, load_registry

MINIMAL = """\
facekit: 1
data: {use: synthetic_faces}
model:
  style_encoder: {use: sft_style}
  generator: {use: sft_pix2pixhd}
  discriminator: {use: multiscale_patch}
losses:
  generator: [{use: l1}]
  discriminator: [{use: adversarial}]
train: {steps: 1, batch: 2}
"""

INSTALLED = load_registry()
IN_RECIPES = [entry for entry in INSTALLED.components.values() if recipe_fragment(INSTALLED, entry, {})]


def _node(text: str) -> Any:
    problems = Problems()
    node = parse_yaml(text, marks=file_marks(text, "fragment"), problems=problems)
    assert problems.found == []
    return node


def test_all_kinds_but_those_that_look_at_photos_have_a_place() -> None:
    kinds = {entry.spec.kind for entry in IN_RECIPES}
    assert kinds == {"dataset", *NETWORK_KINDS, "loss", "metric", "augmentation"}
    assert len(IN_RECIPES) >= 20


@pytest.mark.parametrize("entry", IN_RECIPES, ids=lambda entry: f"{entry.spec.kind} {entry.spec.id}")
def test_the_fragment_of_every_installed_component_holds_in_a_recipe(entry: RegisteredComponent) -> None:
    options = describe_component(INSTALLED, entry).example.options
    text = dump_fragment(recipe_fragment(INSTALLED, entry, options))
    problems = Problems()
    merged = merge(_node(MINIMAL), _node(text), problems=problems)
    checked = check_schema(merged, registry=INSTALLED, name="fragment", problems=problems)
    assert [str(problem) for problem in problems.found] == []
    used = [checked.dataset, *(loss.choice for loss in checked.losses), *checked.metrics]
    used += [] if checked.augmentation is None else [checked.augmentation.choice]
    assert checked.model is not None
    used += [choice for _, choice in checked.model.components()]
    (mine, *again) = [choice for choice in used if choice is not None and choice.component.spec is entry.spec]
    assert len(again) == (len(entry.spec.players) - 1 if entry.spec.kind == "loss" else 0)
    for name, value in options.items():
        assert getattr(mine.options, name) == getattr(describe_component(INSTALLED, entry).example.validated, name), (
            value
        )


def test_the_test_of_fragments_can_fail() -> None:
    problems = Problems()
    merged = merge(
        _node(MINIMAL), _node("losses: {generator: [{use: adversarial, objectiv: hinge}]}"), problems=problems
    )
    with pytest.raises(RecipeError, match="objectiv"):
        check_schema(merged, registry=INSTALLED, name="fragment", problems=problems)


def test_places_of_the_kinds(catalogue: Registry) -> None:
    def fragment(kind: Any, name: str, **options: Any) -> dict[str, Any]:
        return recipe_fragment(catalogue, catalogue.find(kind, name), options)

    assert fragment("dataset", "photo_folder", root="x") == {"data": {"use": "photo_folder", "root": "x"}}
    assert fragment("generator", "adain_global") == {"model": {"generator": {"use": "adain_global"}}}
    assert fragment("metric", "psnr") == {"metrics": [{"use": "psnr"}]}
    assert fragment("loss", "l1") == {"losses": {"generator": [{"use": "l1"}]}}
    both = [{"use": "adversarial", "low": -1}]
    assert fragment("loss", "adversarial", low=-1) == {"losses": {"generator": both, "discriminator": both}}


def test_a_name_that_two_namespaces_have_is_written_out() -> None:
    class Plugin:
        @hookimpl
        def facekit_components(self) -> list[ComponentSpec]:
            return [
                ComponentSpec(
                    interface_version=1, kind="metric", id=f"{side}/psnr", summary="", options=NoOptions, factory="a:b"
                )
                for side in ("mine", "yours")
            ]

    plugins = PluginSet({})
    plugins.register(Plugin(), name="both")
    registry = Registry(plugins)
    entry = registry.find("metric", "yours/psnr")
    assert recipe_fragment(registry, entry, {}) == {"metrics": [{"use": "yours/psnr"}]}


def test_fragments_look_as_people_write_them() -> None:
    short = {"losses": {"generator": [{"use": "l1"}]}, "metrics": [{"use": "psnr"}]}
    assert dump_fragment(short) == "losses:\n  generator:\n    - {use: l1}\nmetrics:\n  - {use: psnr}\n"
    long = {"model": {"generator": {"use": "big", **{f"option_{index}": "a value" for index in range(6)}}}}
    text = dump_fragment(long)
    assert text.startswith("model:\n  generator:\n    use: big\n    option_0: a value\n")
    assert yaml.safe_load(text) == long


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (64, "64"),
        (0.5, "0.5"),
        ("lsgan", "lsgan"),
        ("", "''"),
        ("on", "'on'"),
        ("1e-4", "'1e-4'"),
        ([0.5, 0.999], "[0.5, 0.999]"),
        ({"hair": 4.0, "skin": [1]}, "{hair: 4.0, skin: [1]}"),
        ({}, "{}"),
        (["a, b", "c: d"], "['a, b', 'c: d']"),
        ("x" * 300, "x" * 300),
    ],
)
def test_values_in_one_line_read_back(value: Any, text: str) -> None:
    assert dump_value(value) == text
    assert json.dumps(plain(_node(f"key: {text}"))["key"]) == json.dumps(value)


def test_core_settings_are_those_that_recipes_take_beside_options(good_recipe: Path, catalogue: Registry) -> None:
    assert core_settings("dataset") is DataSettings
    assert core_settings("generator") is core_settings("network") is NetworkSettings
    assert core_settings("metric") is NoOptions
    document = read_recipe(good_recipe, registry=catalogue).document
    loss = document["losses"]["generator"][0]
    options = catalogue.find("loss", "adversarial").spec.options.model_fields
    assert set(loss) - set(options) - {"use"} == set(core_settings("loss").model_fields)
