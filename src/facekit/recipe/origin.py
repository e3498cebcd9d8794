"""Where each value of a resolved recipe was set (``facekit recipes show X --origin``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from facekit.recipe.nodes import ListNode, MapNode, Node
from facekit.recipe.problems import Path, show_path
from facekit.recipe.reading import read_marked
from facekit.recipe.resolved import Mark, ResolvedRecipe
from facekit.registry import Registry


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


def recipe_origins(
    path: str | os.PathLike[str], *, registry: Registry, overrides: Sequence[str] = ()
) -> tuple[ResolvedRecipe, list[Origin]]:
    """Read a recipe, and list every value of its document with the place it was set in, in the document's order.

    Raises:
        RecipeError: as :func:`facekit.recipe.read_recipe` does.
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
