"""Every recipe in the repository, found by a recursive glob, reads and fits together."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from facekit.recipe import dump_recipe, read_recipe, recipe_from_document
from facekit.registry import load_registry

REPOSITORY = Path(__file__).parents[2]
RECIPES = sorted(
    path
    for pattern in ("recipes/**/*.yaml", "plugins/*/src/**/recipes/**/*.yaml", "docs/**/*.yaml")
    for path in REPOSITORY.glob(pattern)
)


def test_there_are_recipes() -> None:
    assert REPOSITORY / "recipes" / "sft_pix2pixhd.yaml" in RECIPES
    assert any("paper" in path.parts for path in RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_recipe_reads_and_its_lock_reads_back(path: Path) -> None:
    if path.name.startswith("_"):
        pytest.skip("a part that other recipes extend")
    # The examples of the documentation use its plugin files as well.
    examples = sorted((REPOSITORY / "docs" / "examples").glob("*.py")) if "docs" in path.parts else ()
    registry = load_registry(*examples)
    recipe = read_recipe(path, registry=registry)
    assert recipe.description, "`facekit recipes ls` prints it"
    again = recipe_from_document(yaml.safe_load(dump_recipe(recipe)), registry=registry, name=recipe.name)
    assert again.document == recipe.document
    assert again.dimensions == recipe.dimensions
