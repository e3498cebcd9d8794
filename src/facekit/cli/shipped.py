"""The recipes that come with facekit and with plugins, and how a command line names one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import facekit

if TYPE_CHECKING:
    from facekit.registry import Registry


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that need not be written: its name, its file, and who brings it."""

    name: str
    path: Path
    origin: str


def core_recipe_folder() -> Path | None:
    """Return the folder of facekit's own recipes: inside the installed package, or the repository's ``recipes/``."""
    package = Path(facekit.__file__).parent
    for folder in (package / "shipped_recipes", package.parent.parent / "recipes"):
        if folder.is_dir():
            return folder
    return None


def shipped_recipes(registry: Registry) -> dict[str, ShippedRecipe]:
    """Return every shipped recipe by name.

    facekit's own are named by their path in the recipe folder (``sft_pix2pixhd``, ``paper/sft_pix2pixhd``); a
    plugin's by its file's stem, with ``plugin:`` in front where that name is taken.
    """
    found: dict[str, ShippedRecipe] = {}
    folder = core_recipe_folder()
    if folder is not None:
        for path in sorted(folder.rglob("*.yaml")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            found[name] = ShippedRecipe(name, path, "facekit")
    for origin, path in registry.recipe_paths():
        name = path.stem if path.stem not in found else f"{origin.name}:{path.stem}"
        found[name] = ShippedRecipe(name, path, str(origin))
    return found


def find_recipe(argument: str, registry: Registry) -> Path:
    """Return the file of a recipe that is given by path or by the name of a shipped one; a file wins.

    Raises:
        FacekitError: there is neither such a file nor such a recipe.
    """
    path = Path(argument)
    if path.is_file():
        return path
    shipped = shipped_recipes(registry)
    if argument in shipped:
        return shipped[argument].path
    from facekit.interfaces import FacekitError, did_you_mean

    names = {argument, path.stem}
    near = next((hint for name in sorted(names) if (hint := did_you_mean(name, shipped))), None)
    problem = (
        "is a folder, not a recipe" if path.is_dir() else "there is no such recipe file, and no recipe of that name"
    )
    raise FacekitError(problem, where=argument, remedy=near or "`facekit recipes ls` lists the recipes there are")
