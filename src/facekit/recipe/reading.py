"""Reads recipes: merge, validate, join the ports. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from facekit.recipe.layers import GRID, load_layers, parse_recipe
from facekit.recipe.lock import document_of, dump_document
from facekit.recipe.merging import merge
from facekit.recipe.migrating import migrate_components
from facekit.recipe.nodes import ListNode, MapNode, Node
from facekit.recipe.overrides import read_overrides
from facekit.recipe.ports import resolve_dimensions
from facekit.recipe.problems import Path, Problems, show_path
from facekit.recipe.resolved import Mark, ResolvedRecipe
from facekit.recipe.schema_check import check_schema
from facekit.recipe.shipped import RecipesOfPlugins
from facekit.registry import PluginRecord, Registry


@dataclass(frozen=True)
class Origin:
    """One value of a recipe.

    Args:
        path: e.g. ``losses.generator[1].weight``.
        value: plain data; lists of plain values are one value.
        mark: where it was set; None for a default.
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
            :func:`facekit.recipe.overrides.layer_of_paths`.
        record: of a run's locked recipe, the plugins that the run was made with, to say where a component that is not
            here is to be had; see :func:`facekit.training.run.reading.read_run_recipe`.

    Raises:
        RecipeError: with every mistake that was found, each with its file, line and column. A file that cannot be
            parsed hides mistakes in the schema, and those hide what does not fit between components.
    """
    recipe, _ = read_marked(path, registry=registry, overrides=overrides, layers=layers, record=record)
    return recipe


def read_marked(
    path: str | os.PathLike[str],
    *,
    registry: Registry,
    overrides: Sequence[str] = (),
    layers: Sequence[MapNode] = (),
    record: PluginRecord | None = None,
) -> tuple[ResolvedRecipe, MapNode]:
    """Like :func:`read_recipe`; also return the merged tree, in which each value knows where it was written.

    Options of older versions of components stand in it under their names of today.
    """
    problems = Problems()
    root = merge_layers(path, of_plugins=registry.recipe_paths, overrides=overrides, layers=layers, problems=problems)
    root = migrate_components(root, registry=registry, problems=problems)
    return _resolve(root, registry=registry, name=FilePath(path).stem, problems=problems, record=record), root


def recipe_origins(
    path: str | os.PathLike[str], *, registry: Registry, overrides: Sequence[str] = ()
) -> tuple[ResolvedRecipe, list[Origin]]:
    """Read a recipe, and list every value of its document with the place it was set in, in the document's order.

    Raises:
        RecipeError: as :func:`read_recipe` does.
    """
    recipe, root = read_marked(path, registry=registry, overrides=overrides)
    return recipe, list(_walk(recipe.document, root, ()))


def _walk(value: Any, node: Node | None, path: Path) -> Iterator[Origin]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _walk(inner, node.get(key) if isinstance(node, MapNode) else None, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = node.items if isinstance(node, ListNode) and len(node.items) == len(value) else [None] * len(value)
        for index, (inner, item) in enumerate(zip(value, items)):
            yield from _walk(inner, item, (*path, index))
    else:
        yield Origin(show_path(path), value, node.mark if node is not None else None)


def merge_layers(
    path: str | os.PathLike[str],
    *,
    of_plugins: RecipesOfPlugins,
    overrides: Sequence[str],
    problems: Problems,
    layers: Sequence[MapNode] = (),
) -> MapNode:
    """Merge a recipe file, those it extends, the layers over it and the overrides, without looking at what they say.

    Args:
        path: the recipe file.
        of_plugins: gives the recipes that plugins ship, which it may extend by name.
        overrides: as for :func:`read_recipe`.
        problems: collects mistakes.
        layers: as for :func:`read_recipe`.

    Raises:
        RecipeError: a file cannot be read at all. Lesser mistakes stay in ``problems``.
    """
    merged: Node | None = load_layers(FilePath(path), of_plugins=of_plugins, problems=problems)
    if isinstance(merged, MapNode) and GRID in merged.entries:
        mark = merged.entries[GRID].key_mark
        problems.add("this is a grid of runs, not a recipe", mark, (GRID,), "run it with `facekit ablate`", breaks=True)
    over = read_overrides(overrides, problems=problems)
    for layer in (*layers, *([] if over is None else [over])):
        merged = None if merged is None else merge(merged, layer, problems=problems)
    if problems.broken or not isinstance(merged, MapNode):
        problems.raise_if_any()
    assert isinstance(merged, MapNode)  # what is None has left a problem
    return merged


def recipe_from_document(document: Mapping[str, Any], *, registry: Registry, name: str) -> ResolvedRecipe:
    """Resolve a locked recipe again (to resume or load a run).

    Args:
        document: what :attr:`ResolvedRecipe.document` held.
        registry: the components.
        name: what to call the document in messages, e.g. the path of the run's ``recipe.yaml``.

    Raises:
        RecipeError: the document no longer holds, for instance because a plugin is missing.
    """
    problems = Problems()
    root = parse_recipe(dump_document(document), name, problems=problems)
    if root is None:
        problems.raise_if_any()
    assert root is not None
    root = migrate_components(root, registry=registry, problems=problems)
    return _resolve(root, registry=registry, name=FilePath(name).stem, problems=problems)


def dump_recipe(recipe: ResolvedRecipe) -> str:
    """Return the resolved recipe as YAML with every default written out; it reads back to an equal recipe."""
    return dump_document(recipe.document)


def _resolve(
    root: MapNode, *, registry: Registry, name: str, problems: Problems, record: PluginRecord | None = None
) -> ResolvedRecipe:
    checked = check_schema(root, registry=registry, name=name, problems=problems, record=record)
    problems.raise_if_any()
    dataset, data, model, train = checked.dataset, checked.data, checked.model, checked.train
    assert dataset is not None  # a section that is None has left a problem
    assert data is not None
    assert model is not None
    assert train is not None
    assert checked.updates is not None
    dimensions = resolve_dimensions(
        root,
        registry=registry,
        dataset=dataset,
        model=model,
        losses=checked.losses,
        metrics=checked.metrics,
        augmentation=checked.augmentation,
        size=data.size,
        batch=train.batch,
        problems=problems,
    )
    problems.raise_if_any()
    document = document_of(
        checked.name, checked.description, dataset, data, model, checked.losses, checked.metrics, train
    )
    notices = problems.notices_in_order()
    return ResolvedRecipe(**vars(checked), document=document, dimensions=dimensions, notices=notices)
