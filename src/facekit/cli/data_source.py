"""What the data commands work on: the dataset of a recipe, or a dataset by its component's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facekit.interfaces import FaceDataset
    from facekit.recipe import ComponentChoice, DataSettings
    from facekit.registry import Registry


@dataclass(frozen=True)
class DataSource:
    """A dataset that is opened, the id of its component, and what the core is to do with it."""

    name: str
    component: str
    dataset: FaceDataset
    settings: DataSettings


def open_source(argument: str, *, registry: Registry, overrides: Sequence[str]) -> DataSource:
    """Open the dataset that a command line means.

    Args:
        argument: a recipe file, a dataset component's name, or a shipped recipe's name; the first that fits.
        registry: the components.
        overrides: of the recipe (``data.size=256``); with a dataset's name also without the ``data.`` in front.

    Raises:
        RecipeError: the recipe or the overrides have mistakes.
        FacekitError: there is nothing of that name, or the dataset cannot be opened.
    """
    from facekit.interfaces import DatasetContext, FacekitError
    from facekit.recipe.library import find_recipe
    from facekit.registry import name_of_use
    from facekit.training.run.reading import read_run_recipe

    names = {name for entry in registry.of_kind("dataset") for name in (entry.spec.name, entry.spec.id)}
    if name_of_use(argument) in names and not Path(argument).is_file():
        choice, settings = _read_dataset(argument, registry, overrides)
    else:
        try:
            path = find_recipe(argument, registry=registry)
        except FacekitError as error:
            known = ", ".join(registry.names("dataset"))
            raise FacekitError(
                f"{argument!r} is no recipe file, no shipped recipe and no dataset",
                remedy=f"datasets: {known}; `facekit recipes ls` lists recipes",
            ) from error
        recipe = read_run_recipe(path, registry=registry, overrides=overrides)
        choice, settings = recipe.dataset, recipe.data
    spec = choice.component.spec
    dataset = spec.build(choice.options, DatasetContext(registry.label_maps))
    return DataSource(spec.name, spec.id, dataset, settings)


def _read_dataset(name: str, registry: Registry, overrides: Sequence[str]) -> tuple[ComponentChoice, DataSettings]:
    """Check a dataset's options as a recipe's ``data:`` section would be, without the rest of a recipe."""
    from facekit.recipe import RecipeError
    from facekit.recipe.migrating import migrate_components
    from facekit.recipe.overrides import read_overrides
    from facekit.recipe.problems import Problems
    from facekit.recipe.schema_check import check_schema

    problems = Problems()
    prefixed = [text if text.startswith("data.") else f"data.{text}" for text in overrides]
    root = read_overrides([f"data.use={name}", *prefixed], problems=problems)
    problems.raise_if_any()
    assert root is not None
    root = migrate_components(root, registry=registry, problems=problems)
    checked = check_schema(root, registry=registry, name=name, problems=problems)
    mine = [problem for problem in problems.found if problem.path == "data" or problem.path.startswith("data.")]
    if mine:
        raise RecipeError(mine)
    assert checked.dataset is not None
    assert checked.data is not None
    return checked.dataset, checked.data
