"""Every recipe in the repository, found by a recursive glob, reads and fits together."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from facekit.experiments.grid import read_grid
from facekit.experiments.jobs import resolve_cells
from facekit.recipe import dump_recipe, read_recipe, recipe_from_document
from facekit.registry import load_registry

REPOSITORY = Path(__file__).parents[2]
RECIPES = sorted(
    path
    for pattern in ("recipes/**/*.yaml", "plugins/*/src/**/recipes/**/*.yaml", "docs/**/*.yaml")
    for path in REPOSITORY.glob(pattern)
    if path.parent != REPOSITORY / "recipes" / "ablations"
)
GRIDS = sorted((REPOSITORY / "recipes" / "ablations").glob("*.yaml"))


def test_there_are_recipes() -> None:
    assert REPOSITORY / "recipes" / "sft_pix2pixhd.yaml" in RECIPES
    assert any("paper" in path.parts for path in RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_recipe_reads_and_its_lock_reads_back(path: Path) -> None:
    if path.name.startswith("_"):
        pytest.skip("a part that other recipes extend")
    # The examples of the documentation use its plugin files as well.
    examples = sorted((REPOSITORY / "docs" / "examples").glob("*.py")) if "docs" in path.parts else []
    if path.parent.name in ("families", "port"):
        examples += [file for file in sorted(path.parent.glob("*.py")) if "@hookimpl" in file.read_text("utf-8")]
    registry = load_registry(*examples)
    recipe = read_recipe(path, registry=registry)
    assert recipe.description, "`facekit recipes ls` prints it"
    again = recipe_from_document(yaml.safe_load(dump_recipe(recipe)), registry=registry, name=recipe.name)
    assert again.document == recipe.document
    assert again.dimensions == recipe.dimensions


def test_the_grid_in_the_documentation_reads_and_fits_together(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "ablations.md").read_text("utf-8")
    path = tmp_path / "grid.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    registry = load_registry()
    cells = resolve_cells(read_grid(path, registry=registry), registry=registry)
    assert len(cells) == 5 * 2 * 3 + 1


def test_there_are_grids() -> None:
    assert {path.stem for path in GRIDS} >= {"reference_table", "sft_components"}


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_row_of_a_grid_reads_and_fits_together(path: Path) -> None:
    registry = load_registry()
    grid = read_grid(path, registry=registry)
    cells = resolve_cells(grid, registry=registry)
    assert grid.settings.description, "`facekit recipes ls` prints it"
    assert {cell.row.name for cell in cells} == {row.name for row in grid.rows}
    assert {cell.steps for cell in cells if cell.seed is not None} == {grid.settings.steps}
    assert len({cell.asked.key for cell in cells}) == 1, "all rows are measured alike"
