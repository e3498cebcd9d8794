"""``train.augment``: what is read, what is said of mistakes, what is locked, and what editors know of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from tests.conftest import Catalogue

from facekit.interfaces import Options, Port, Ports
from facekit.recipe import (
    RecipeError,
    ResolvedRecipe,
    dump_recipe,
    read_recipe,
    recipe_from_document,
    recipe_schema,
)
from facekit.registry import ComponentSpec, PluginSet, Registry, hookimpl

EMA = "  ema: {decay: 0.998}"
DISCRIMINATOR = "  discriminator: {use: multiscale_patch, scales: 2}\n"
ITS_LOSSES = (
    "  discriminator:\n    - {use: adversarial, objective: lsgan}\n    - {use: gradient_penalty, weight: 10.0}\n"
)


class ShakeOptions(Options):
    """Options of ``shakes/shake``."""

    strength: float = Field(0.5, ge=0, le=1)
    """How much."""


class Shakes:
    """A plugin with two augmentations."""

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        return [
            ComponentSpec(
                interface_version=1,
                kind="augmentation",
                id=f"shakes/{name}",
                summary=name,
                options=ShakeOptions,
                factory="nowhere:build",
                ports=lambda options, context, needs=needs: Ports(needs=needs),
            )
            for name, needs in (("shake", ()), ("turn_landmarks", (Port("landmarks", ("batch", 5, 2)),)))
        ]


@pytest.fixture
def with_shakes() -> Registry:
    plugins = PluginSet({})
    plugins.register(Catalogue(), name="fake")
    plugins.register(Shakes(), name="shakes")
    return Registry(plugins)


def _read(file: Path, registry: Registry, line: str, *overrides: str, without: str = "") -> ResolvedRecipe:
    text = file.read_text("utf-8")
    assert EMA in text
    text = text.replace(EMA, f"{EMA}\n  {line}")
    for part in filter(None, without.split("|")):
        assert part in text
        text = text.replace(part, "")
    file.write_text(text, encoding="utf-8")
    return read_recipe(file, registry=registry, overrides=overrides)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("augment: {use: shak}", "47:18: train.augment.use: no augmentation is called 'shak'; did you mean 'shake'?"),
        ("augment: {strength: 1}", "47:3: train.augment: needs `use`, the name of a component; one of shake"),
        ("augment: shake", "47:12: train.augment: expected a map with `use:`, found the text 'shake'"),
        ("augment: {use: shake, strenght: 1}", "47:25: train.augment.strenght: unknown key 'strenght'; did you mean"),
        ("augment: {use: shake, strength: 2}", "47:35: train.augment.strength: must be at most 1, found 2"),
        ("augment: {use: shake, of: [discriminater]}", "47:30: train.augment.of[0]: this recipe has no network "
         "'discriminater'; did you mean 'discriminator'?"),
        ("augment: {use: shake, of: [generator]}", "47:30: train.augment.of[0]: 'generator' is of the kind generator, "
         "and an augmentation stands in front of discriminators; discriminators: discriminator"),
        ("augment: {use: shake, of: discriminator}", "47:29: train.augment.of: expected a list, found the text"),
        ("augment: {use: turn_landmarks}", "47:18: train.augment: the augmentation 'turn_landmarks' needs `landmarks`"),
        ("augmentation: {use: shake}", "train.augmentation: unknown key 'augmentation'; did you mean 'augment'?"),
    ],
)  # fmt: skip
def test_of_mistakes(good_recipe: Path, with_shakes: Registry, line: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        _read(good_recipe, with_shakes, line)
    (problem,) = caught.value.problems
    assert said in str(problem)


def test_there_must_be_a_discriminator(good_recipe: Path, with_shakes: Registry) -> None:
    of_generator = "    - {use: adversarial, objective: lsgan}\n|    - {use: feature_matching, weight: 10}\n"
    without = f"{DISCRIMINATOR}|{ITS_LOSSES}|{of_generator}"
    with pytest.raises(RecipeError, match="stands in front of a discriminator, and this recipe has none"):
        _read(good_recipe, with_shakes, "augment: {use: shake}", without=without)


def test_it_is_read_and_locked(good_recipe: Path, with_shakes: Registry) -> None:
    recipe = _read(good_recipe, with_shakes, "augment: {use: shake}")
    assert recipe.augmentation is not None
    assert recipe.augmentation.of == ("discriminator",)
    assert recipe.augmentation.choice.path == "train.augment"
    assert recipe.document["train"]["augment"] == {"of": [], "use": "shakes/shake@1", "strength": 0.5}
    assert recipe_from_document(recipe.document, registry=with_shakes, name="locked.yaml") == recipe
    assert "use: shakes/shake@1" in dump_recipe(recipe)


def test_layers_change_and_remove_it(good_recipe: Path, with_shakes: Registry) -> None:
    recipe = _read(good_recipe, with_shakes, "augment: {use: shake, of: [discriminator]}", "train.augment.strength=0.1")
    assert recipe.augmentation is not None
    assert recipe.augmentation.choice.options == ShakeOptions(strength=0.1)
    assert recipe.augmentation.of == ("discriminator",)
    without = read_recipe(good_recipe, registry=with_shakes, overrides=["train.augment=null"])
    assert without.augmentation is None
    assert without.document["train"]["augment"] is None
    assert recipe_from_document(without.document, registry=with_shakes, name="locked.yaml") == without


def test_recipes_have_none_by_default(good_recipe: Path, with_shakes: Registry) -> None:
    assert read_recipe(good_recipe, registry=with_shakes).augmentation is None


def test_editors_know_it(with_shakes: Registry) -> None:
    schema = recipe_schema(with_shakes)
    part = {"$defs": schema["$defs"], "properties": {"train": schema["properties"]["train"]}}

    def fits(section: object) -> bool:
        return Draft202012Validator(part).is_valid({"train": section})

    assert fits({"augment": {"use": "shake", "strength": 0.3, "of": ["discriminator"]}})
    assert fits({"augment": None})
    assert not fits({"augment": {"use": "shake", "strenght": 0.3}})
    assert not fits({"augment": {"use": "adam"}})
