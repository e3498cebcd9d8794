"""The JSON Schema for editors, tried on recipes with a small reading of JSON Schema 2020-12."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facekit.recipe import read_recipe, recipe_schema, shipped_recipes
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import Registry, load_registry

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_SAYS_NOTHING = {"title", "description", "default", "$schema", "$defs", "then", "format"}


def _fits(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    return (isinstance(schema, bool) and schema) or all(_rule(value, rule, schema, root) for rule in schema)


def _rule(value: Any, rule: str, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    told = schema[rule]
    if rule in _SAYS_NOTHING:
        return True
    if rule == "$ref":
        return _fits(value, root["$defs"][told.removeprefix("#/$defs/")], root)
    if rule == "type":
        return _TYPES[told](value)
    if rule in ("const", "enum"):
        return any(value == one and type(value) is type(one) for one in (told if rule == "enum" else [told]))
    if rule in ("anyOf", "allOf"):
        fitting = [_fits(value, one, root) for one in told]
        return any(fitting) if rule == "anyOf" else all(fitting)
    if rule == "not":
        return not _fits(value, told, root)
    if rule == "if":
        return not _fits(value, told, root) or _fits(value, schema["then"], root)
    if isinstance(value, dict):
        if rule == "properties":
            return all(_fits(value[key], one, root) for key, one in told.items() if key in value)
        if rule == "additionalProperties":
            others = [inner for key, inner in value.items() if key not in schema.get("properties", {})]
            return not others if told is False else all(_fits(inner, told, root) for inner in others)
        if rule == "required":
            return all(key in value for key in told)
        if rule == "propertyNames":
            return all(_fits(key, told, root) for key in value)
    if isinstance(value, list):
        if rule == "items":
            return told is False or all(_fits(item, told, root) for item in value)
        if rule == "prefixItems":
            return all(_fits(item, one, root) for item, one in zip(value, told))
        if rule in ("minItems", "maxItems"):
            return len(value) >= told if rule == "minItems" else len(value) <= told
    if isinstance(value, str) and rule == "pattern":
        return re.search(told, value) is not None
    if isinstance(value, int | float) and not isinstance(value, bool):
        limits = {"minimum": value >= told, "exclusiveMinimum": value > told}
        limits |= {"maximum": value <= told, "exclusiveMaximum": value < told}
        if rule in limits:
            return limits[rule]
    assert rule in (
        *("properties", "additionalProperties", "required", "propertyNames", "items", "prefixItems", "minItems"),
        *("maxItems", "pattern", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    ), f"this reading of JSON Schema does not know {rule!r}"
    return True  # rules for other types say nothing


def _document(text: str) -> Any:
    problems = Problems()
    node = parse_yaml(text, marks=file_marks(text, "f"), problems=problems)
    assert node is not None
    return plain(node)


@pytest.fixture
def accepts(catalogue: Registry) -> Callable[[str], bool]:
    schema = recipe_schema(catalogue)
    assert json.loads(json.dumps(schema)) == schema
    return lambda text: _fits(_document(text), schema, schema)


def test_good_recipes(accepts: Callable[[str], bool], good_recipe: Path, catalogue: Registry) -> None:
    assert accepts(good_recipe.read_text("utf-8"))
    document = read_recipe(good_recipe, registry=catalogue).document
    schema = recipe_schema(catalogue)
    assert _fits(document, schema, schema)
    assert accepts("extends: good.yaml\ntrain: {batch: 3}\ndata: {root: elsewhere}\nmodel: {discriminator: null}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("facekit: 1", "facekit: 2"),
        ("name: good", "nam: good"),
        ("use: photo_folder", "use: photos"),
        ("use: photo_folder", "use: sft_style"),
        ("root: data/faces", "rot: data/faces"),
        ("size: 128", "size: big"),
        ("size: 128", "size: 8"),
        ("crop: 0.8", "crop: 2"),
        ("blocks: 4", "blocks: four"),
        ("blocks: 4", "numbers: 4"),
        ("padding: reflect", "padding: mirror"),
        ("{use: feature_matching, weight: 10}", "{use: gradient_penalty, weight: 10}"),
        ("{use: feature_matching, weight: 10}", "{weight: 10}"),
        ("weight: 10.0", "weight: -1"),
        ("betas: [0.5, 0.999]", "betas: [0.5]"),
        ("lr_scale: {style_encoder: 5}", "lr_scale: {encoder: 5}"),
        ("train:\n", "trian:\n"),
        ("  epochs: 28", "  epoch: 28"),
    ],
)
def test_broken_recipes(accepts: Callable[[str], bool], good_recipe: Path, old: str, new: str) -> None:
    text = good_recipe.read_text("utf-8")
    assert old in text
    assert not accepts(text.replace(old, new, 1))


def test_the_shipped_recipes_with_the_installed_components() -> None:
    registry = load_registry()
    schema = recipe_schema(registry)
    shipped = shipped_recipes(registry)
    assert shipped
    for recipe in shipped:
        assert _fits(_document(recipe.path.read_text("utf-8")), schema, schema), recipe.name


def test_descriptions_reach_the_schema(catalogue: Registry) -> None:
    definitions = recipe_schema(catalogue)["$defs"]
    assert definitions["generator.fake.adain_global"]["properties"]["blocks"]["description"] == "Residual blocks."
    assert definitions["dataset.fake.photo_folder"]["properties"]["size"]["description"] == "Picture side in pixels."
