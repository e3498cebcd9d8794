"""Shipped recipes, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.interfaces import FacekitError
from facekit.recipe import copy_recipe, find_recipe, read_recipe, shipped_folder, shipped_recipes
from facekit.registry import Registry, hookimpl

CHECKOUT = Path(__file__).parents[2] / "recipes"


class _WithRecipes:
    def __init__(self, *paths: Path) -> None:
        self._paths = paths

    @hookimpl
    def facekit_recipes(self) -> list[Path]:
        return [*self._paths]


@pytest.fixture
def with_recipes(catalogue: Registry, good_recipe: Path) -> Registry:
    """The catalogue, with a plugin that ships a folder of recipes: good, child, broken and a part."""
    good_recipe.with_name("child.yaml").write_text("extends: good.yaml\ndescription: A child\ntrain: {seed: 3}\n")
    good_recipe.with_name("_part.yaml").write_text("train: {seed: 3}\n")
    good_recipe.with_name("broken.yaml").write_text("a: [1\n")
    catalogue.plugins.register(_WithRecipes(good_recipe.parent), name="more")
    return catalogue


def test_the_checkout_is_found() -> None:
    assert shipped_folder() == CHECKOUT


def test_every_recipe_of_the_checkout_is_listed_with_a_description(catalogue: Registry) -> None:
    listed = {recipe.name: recipe for recipe in shipped_recipes(catalogue)}
    files = [path for path in CHECKOUT.rglob("*.yaml") if not path.name.startswith("_")]
    assert {recipe.path for recipe in listed.values()} == set(files)
    assert all(recipe.description for recipe in listed.values())
    assert listed["sft_pix2pixhd"].source == "facekit-toolkit"


def test_recipes_of_plugins_are_listed(with_recipes: Registry) -> None:
    listed = {recipe.name: recipe for recipe in shipped_recipes(with_recipes)}
    assert listed["good"].description == "A good recipe"
    assert listed["child"].description == "A child"
    assert listed["broken"].description.startswith("cannot be read: this `[` is not closed")
    assert "_part" not in listed
    assert listed["good"].source == "more"


def test_a_name_that_is_taken_gets_its_distribution(catalogue: Registry, tmp_path: Path) -> None:
    path = tmp_path / "sft_pix2pixhd.yaml"
    path.write_text("description: mine\n")
    catalogue.plugins.register(_WithRecipes(path), name="more")
    assert find_recipe("more:sft_pix2pixhd", registry=catalogue) == path
    assert find_recipe("sft_pix2pixhd", registry=catalogue) == CHECKOUT / "sft_pix2pixhd.yaml"


def test_find_by_path_or_name(with_recipes: Registry, good_recipe: Path) -> None:
    assert find_recipe(str(good_recipe), registry=with_recipes) == good_recipe
    assert find_recipe("good", registry=with_recipes) == good_recipe
    with pytest.raises(FacekitError, match="did you mean 'sft_pix2pixhd'"):
        find_recipe("sft_pix2pxhd", registry=with_recipes)
    with pytest.raises(FacekitError, match=r"did you mean '.*good\.yaml'"):
        find_recipe(str(good_recipe.with_name("goood.yaml")), registry=with_recipes)
    with pytest.raises(FacekitError, match="is a folder"):
        find_recipe(str(good_recipe.parent), registry=with_recipes)
    with pytest.raises(FacekitError, match="recipes ls"):
        find_recipe("zzzzzz", registry=with_recipes)


def test_copy(with_recipes: Registry, good_recipe: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    copied = copy_recipe("good", target, registry=with_recipes)
    assert copied == target / "good.yaml"
    assert copied.read_text() == good_recipe.read_text()  # comments and all
    with pytest.raises(FacekitError, match="this file exists"):
        copy_recipe("good", copied, registry=with_recipes)
    copy_recipe("good", copied, registry=with_recipes, force=True)


def test_a_copy_stands_by_itself(with_recipes: Registry, good_recipe: Path, tmp_path: Path) -> None:
    copied = copy_recipe("child", tmp_path / "new" / "mine.yaml", registry=with_recipes)
    original = read_recipe(good_recipe.with_name("child.yaml"), registry=with_recipes)
    for path in good_recipe.parent.glob("*.yaml"):
        path.unlink()
    again = read_recipe(copied, registry=with_recipes)
    assert again.document == {**original.document, "name": "mine"}


def test_a_broken_recipe_is_not_copied(with_recipes: Registry, tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="is not closed"):
        copy_recipe("broken", tmp_path / "b.yaml", registry=with_recipes)
    assert not (tmp_path / "b.yaml").exists()
