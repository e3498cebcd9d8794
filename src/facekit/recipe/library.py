"""The recipes that come with facekit and with plugins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from facekit.interfaces import FacekitError, did_you_mean
from facekit.interfaces.files import read_regular
from facekit.recipe.dump import dump_document
from facekit.recipe.layers import GRID, merge_layers, parse_recipe, shipped_files
from facekit.recipe.nodes import plain, text_of
from facekit.recipe.problems import Problems
from facekit.registry import PluginOrigin, Registry


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that can be named without its path, e.g. ``sft_pix2pixhd`` or ``paper/notebook``.

    The description says what is wrong with the file where it cannot be read. ``source`` is the distribution it comes
    with; ``is_grid`` that it is a grid of runs, for ``facekit ablate``.
    """

    name: str
    path: Path
    description: str
    source: str
    is_grid: bool = False


def shipped_recipes(registry: Registry) -> list[ShippedRecipe]:
    """Return the recipes of facekit and of the plugins, by name; see :func:`facekit.recipe.layers.shipped_files`."""
    return name_recipes(registry.recipe_paths())


def name_recipes(of_plugins: Iterable[tuple[PluginOrigin, Path]]) -> list[ShippedRecipe]:
    """Return the recipes of facekit and those that plugins ship, as :func:`shipped_recipes` does."""
    found: list[ShippedRecipe] = []
    for name, file in shipped_files(of_plugins).items():
        problems, root, said = Problems(), None, ""
        try:
            text = read_regular(file.path).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            said = f"cannot be read: {error}"
        else:
            root = parse_recipe(text, os.fspath(file.path), problems=problems)
            said = "" if root is not None else f"cannot be read: {problems.found[0].message}"
        described = text_of(root.get("description")) if root is not None else None
        said = " ".join(described.split()) if described is not None else said
        is_grid = root is not None and GRID in root.entries
        found.append(ShippedRecipe(name, file.path, said, file.source, is_grid))
    return found


def find_recipe(name: str, *, registry: Registry) -> Path:
    """Return the file a user means: a path, or the name of a shipped recipe.

    Raises:
        FacekitError: there is neither; with the names that look like it.
    """

    def is_(kind: Callable[[Path], bool], path: Path) -> bool:
        try:
            return kind(path)
        except (OSError, ValueError):  # names of thousands of letters, or with a null character, are nothing
            return False

    path = Path(name)
    if is_(Path.is_file, path):
        return path
    recipes = {name: file.path for name, file in shipped_files(registry.recipe_paths()).items()}
    if name in recipes:
        return recipes[name]
    near = did_you_mean(name, recipes)
    if path.suffix in (".yaml", ".yml"):
        beside = sorted(str(other) for other in path.parent.glob("*.yaml")) if is_(Path.is_dir, path.parent) else []
        near = did_you_mean(name, beside) or did_you_mean(path.stem, recipes)
    is_folder = is_(Path.is_dir, path)
    what = "is a folder, not a recipe file" if is_folder else "is neither a recipe file nor the name of a recipe"
    shown = name if len(name) <= 200 else f"{name[:197]}..."
    raise FacekitError(f"{shown!r} {what}", where=shown, remedy=near or "`facekit recipes ls` lists the recipes")


def copy_recipe(name: str, target: Path, *, registry: Registry, force: bool = False) -> Path:
    """Copy a recipe to a file of one's own that stands by itself.

    A recipe that extends others is written out merged with them; any other is copied as it is, comments and all.

    Args:
        name: a path, or the name of a shipped recipe.
        target: the new file, or a folder that gets a file of the recipe's name.
        registry: knows the plugins' recipes.
        force: replace a file that is there.

    Raises:
        FacekitError: the recipe is not found or cannot be read, or the target exists.
    """
    source = find_recipe(name, registry=registry)
    if target.is_dir():
        target = target / source.name
    if target.exists() and not force:
        raise FacekitError("this file exists", where=str(target), remedy="--force replaces it")
    problems = Problems()
    text = source.read_text("utf-8-sig")
    root = parse_recipe(text, str(source), problems=problems)
    merged = None
    if root is None or GRID not in root.entries:
        merged = merge_layers(source, of_plugins=registry.recipe_paths, problems=problems)
    problems.raise_if_any()
    if merged is not None and root is not None and "extends" in root.entries:
        text = f"# {source.name} merged with the recipes it extends.\n" + dump_document(plain(merged))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the recipe cannot be written: {error.strerror or error}", where=str(target)) from error
    return target
