"""The recipe of a run, read with what the run remembers of its plugins. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facekit.interfaces import FacekitError
from facekit.recipe import read_recipe
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import PluginRecord, Registry
from facekit.training.run.folder import RECIPE, RunFolder


def read_run_recipe(recipe: Path, *, registry: Registry, overrides: Sequence[str] = ()) -> ResolvedRecipe:
    """Read a recipe file that may be the locked one of a run: whatever reads the recipe of a run comes through here.

    Of a component that is missing it is said which distribution, in which version, or which plugin file the run had it
    from, and how to get that. Any other recipe file is read as :func:`facekit.recipe.read_recipe` does.

    Args:
        recipe: the recipe file, ``RUN/recipe.yaml``.
        registry: the components.
        overrides: as for :func:`facekit.recipe.read_recipe`.

    Raises:
        RecipeError: as :func:`facekit.recipe.read_recipe` does.
    """
    return read_recipe(recipe, registry=registry, overrides=overrides, record=plugin_record(recipe))


def plugin_record(recipe: Path) -> PluginRecord | None:
    """Return what the run that a recipe file belongs to remembers of its plugins; None where it is no run's.

    A ``lock.json`` that is not there or cannot be read leaves no more than less to say of what is missing; whoever
    needs it reads it with :meth:`RunFolder.read_lock`, which tells what is wrong with it.
    """
    if recipe.name != RECIPE:
        return None
    try:
        return PluginRecord.read(RunFolder(recipe.parent).read_lock())
    except (FacekitError, OSError):
        return None
