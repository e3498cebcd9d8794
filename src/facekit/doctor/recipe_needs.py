"""What recipes need of plugins, found without a registry: for recipes whose plugins may be broken or gone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from facekit.doctor.diagnosis import RecipeNeeds
from facekit.recipe.layers import merge_layers
from facekit.recipe.library import name_recipes
from facekit.recipe.network_kinds import component_places
from facekit.recipe.nodes import entry_at, items_of, use_of
from facekit.recipe.problems import Problems, RecipeError
from facekit.registry import Kind, PluginOrigin, name_of_use
from facekit.registry.built_in import is_built_in

_MOST_FILES = 500
_LARGEST_FILE = 2**20
_FIRST_WORDS = re.compile(r"^(facekit|extends)[ \t]*:", re.MULTILINE)


def recipes_around(of_plugins: Iterable[tuple[PluginOrigin, Path]], folder: Path) -> list[RecipeNeeds]:
    """Return what recipes need: those of facekit, of plugins, and of a folder and its ``recipes/``.

    A file of the folder that cannot be read is left out, unless it is a recipe by its own first words.

    Args:
        of_plugins: the recipes that plugins ship.
        folder: where to look for the person's own.
    """
    of_plugins = tuple(of_plugins)
    # What a grid needs is what the recipes that it names need.
    shipped = [recipe for recipe in name_recipes(of_plugins) if not recipe.is_grid]
    found = [RecipeNeeds(one.name, one.path, one.source, *_uses(one.path, of_plugins)) for one in shipped]
    known = {one.path.resolve() for one in shipped}
    files = [*folder.glob("*.yaml"), *folder.glob("*.yml"), *(folder / "recipes").rglob("*.yaml")]
    for file in sorted(files)[:_MOST_FILES]:
        if not file.is_file() or file.stat().st_size > _LARGEST_FILE or file.resolve() in known:
            continue
        words = _FIRST_WORDS.findall(file.read_text(encoding="utf-8", errors="replace"))
        if words:
            uses, problem = _uses(file, of_plugins)
            if problem is None or "facekit" in words:
                found.append(RecipeNeeds(str(file.relative_to(folder)), file, "", uses, problem))
    return found


def _uses(
    path: Path, of_plugins: tuple[tuple[PluginOrigin, Path], ...]
) -> tuple[tuple[tuple[Kind, str], ...], str | None]:
    """Return kind and name of each component that a recipe names, merged with those it extends; or why it cannot be."""
    try:
        root = merge_layers(path, of_plugins=lambda: of_plugins, problems=Problems())
    except RecipeError as error:
        return (), error.problems[0].message
    found: dict[tuple[Kind, str], None] = {}
    for place, kind in component_places(root):
        entry = entry_at(root, place)
        for component in () if entry is None else items_of(entry.node):
            use = use_of(component)
            if use is not None and not is_built_in(kind, name_of_use(use)):
                found[kind, name_of_use(use)] = None
    return tuple(found), None
