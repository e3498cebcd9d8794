"""Every shipped recipe reads, fits together and survives the lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.recipe import dump_recipe, read_recipe, recipe_from_document
from facekit.registry import load_registry

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(
    path for path in RECIPES.rglob("*.yaml") if not path.name.startswith("_") and path.parent.name != "ablations"
)


def test_there_are_recipes() -> None:
    assert RECIPES / "sft_pix2pixhd.yaml" in FILES


def test_their_names_are_unique() -> None:
    names = [read_recipe(path, registry=load_registry()).name for path in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_recipe(path: Path, tmp_path: Path) -> None:
    registry = load_registry()
    recipe = read_recipe(path, registry=registry)
    assert recipe.description
    assert recipe_from_document(recipe.document, registry=registry, name="recipe.yaml") == recipe
    locked = tmp_path / "recipe.yaml"
    locked.write_text(dump_recipe(recipe), encoding="utf-8")
    assert read_recipe(locked, registry=registry) == recipe
