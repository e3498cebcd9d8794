"""Reads recipes: merge, validate, join the ports. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facekit.recipe.dump import dump_document
from facekit.recipe.layers import merge_layers, parse_recipe
from facekit.recipe.nodes import ListNode, MapNode, Node
from facekit.recipe.ports import resolve_dimensions
from facekit.recipe.problems import Path as Place
from facekit.recipe.problems import Problems, show_path
from facekit.recipe.resolved import Mark, ResolvedRecipe
from facekit.recipe.schema_check import check_schema
from facekit.registry import PluginRecord, Registry


@dataclass(frozen=True)
class Origin:
    """One value of a recipe, at a path such as ``losses.generator[1].weight``.

    Lists of plain values are one value. The mark says where it was set; None for a default.
    """

    path: str
    value: Any
    mark: Mark | None

    @property
    def source(self) -> str:
        """``file:line:column``, ``--set path=value:line:column``, or ``default``."""
        return str(self.mark) if self.mark else "default"

    @property
    def is_override(self) -> bool:
        """Whether an override set it."""
        return self.mark is not None and self.mark.is_override


def read_recipe(
    path: str | os.PathLike[str],
    *,
    registry: Registry,
    overrides: Sequence[str] = (),
    layers: Sequence[MapNode] = (),
    record: PluginRecord | None = None,
) -> ResolvedRecipe:
    """Read a recipe file: the recipes it extends, the file, the overrides; then the schema and the ports.

    Args:
        path: the recipe file.
        registry: the components.
        overrides: ``path=value``, e.g. ``train.batch=4`` or ``losses.generator[1].weight=5``.
        layers: laid over the file one after the other, below the overrides; see
            :func:`facekit.recipe.merging.layer_of_paths`.
        record: of a run's locked recipe, the plugins that the run was made with, to say where a component that is not
            here is to be had; see :func:`facekit.training.run.reading.read_run_recipe`.

    Raises:
        RecipeError: with every mistake that was found, each with its file, line and column. A file that cannot be
            parsed hides mistakes in the schema, and those hide what does not fit between components.
    """
    problems = Problems()
    root = merge_layers(path, of_plugins=registry.recipe_paths, overrides=overrides, layers=layers, problems=problems)
    return _resolve(root, registry, Path(path).stem, problems, record)


def recipe_origins(
    path: str | os.PathLike[str], *, registry: Registry, overrides: Sequence[str] = ()
) -> tuple[ResolvedRecipe, list[Origin]]:
    """Read a recipe, and list every value of its document with the place it was set in, in the document's order.

    Raises:
        RecipeError: as :func:`read_recipe` does.
    """
    problems = Problems()
    root = merge_layers(path, of_plugins=registry.recipe_paths, overrides=overrides, problems=problems)
    recipe = _resolve(root, registry, Path(path).stem, problems)
    migrated = {notice.path: notice.mark for notice in recipe.notices}  # under other names in the tree

    def walk(value: Any, node: Node | None, place: Place) -> Iterator[Origin]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from walk(inner, node.get(key) if isinstance(node, MapNode) else None, (*place, key))
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            items = node.items if isinstance(node, ListNode) and len(node.items) == len(value) else [None] * len(value)
            for index, (inner, item) in enumerate(zip(value, items)):
                yield from walk(inner, item, (*place, index))
        else:
            shown = show_path(place)
            yield Origin(shown, value, node.mark if node is not None else migrated.get(shown))

    return recipe, list(walk(recipe.document, root, ()))


def recipe_from_document(document: Mapping[str, Any], *, registry: Registry, name: str) -> ResolvedRecipe:
    """Resolve a locked recipe again (to resume or load a run): what :attr:`ResolvedRecipe.document` held.

    ``name`` is what to call it in messages, e.g. the path of the run's ``recipe.yaml``.

    Raises:
        RecipeError: the document no longer holds, for instance because a plugin is missing.
    """
    problems = Problems()
    root = parse_recipe(dump_document(document), name, problems=problems)
    if root is None:
        problems.raise_if_any()
    assert root is not None
    return _resolve(root, registry, Path(name).stem, problems)


def dump_recipe(recipe: ResolvedRecipe) -> str:
    """Return the resolved recipe as YAML with every default written out; it reads back to an equal recipe."""
    return dump_document(recipe.document)


def _resolve(
    root: MapNode, registry: Registry, name: str, problems: Problems, record: PluginRecord | None = None
) -> ResolvedRecipe:
    recipe = check_schema(root, registry=registry, name=name, problems=problems, record=record)
    dimensions = resolve_dimensions(root, recipe, registry=registry, problems=problems)
    problems.raise_if_any()
    return replace(recipe, dimensions=dimensions)
