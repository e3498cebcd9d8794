"""The recipe as a tree in which every value knows where it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from facekit.recipe.resolved import Mark

ScalarValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value."""

    value: ScalarValue
    mark: Mark


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a map and its value.

    Args:
        key_mark: where the key was written.
        node: the value.
        layer: which layer of the recipe it was written in, counted within its map, upper ones larger: an option's old
            name and its new name may come from different files.
        version: the version of the component it was written for, where that is not what the ``use:`` beside it says;
            see :func:`facekit.registry.migrate_options`.
    """

    key_mark: Mark
    node: Node
    layer: int = field(default=0, compare=False)
    version: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class MapNode:
    """A map.

    Args:
        entries: by key, in the order they were written.
        mark: where it starts.
        by_path: it comes from the path of an override, so that its keys may be positions in a list.
    """

    entries: Mapping[str, Entry]
    mark: Mark
    by_path: bool = field(default=False, compare=False)

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or None where there is no such key."""
        entry = self.entries.get(key)
        return entry.node if entry else None


Node = ScalarNode | ListNode | MapNode


def raised(over: Mapping[str, Entry], base: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of a map that is laid over another, with layers above all of the other's."""
    if not base:
        return dict(over)
    lowest = min((entry.layer for entry in over.values()), default=0)
    step = 1 + max(entry.layer for entry in base.values()) - lowest
    return {key: replace(entry, layer=entry.layer + step) for key, entry in over.items()}


def plain(node: Node) -> Any:
    """Return the tree as dicts, lists and scalars."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def is_null(node: Node | None) -> bool:
    """Tell whether a value is absent or null."""
    return node is None or (isinstance(node, ScalarNode) and node.value is None)


def describe(node: Node) -> str:
    """Return what a value is, for sentences: ``the text 'x'``, ``a list``."""
    if isinstance(node, MapNode):
        return "a map"
    if isinstance(node, ListNode):
        return "a list"
    value = node.value
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= 60 else value[:57] + "..."
        return f"the text {shown!r}"
    return f"the number {value}"


def key_mark_at(node: Node, path: str) -> Mark | None:
    """Return where the last key of a path such as ``losses.generator[4].regions.hair`` was written; None where not."""
    mark: Mark | None = None
    for name, position in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if name and isinstance(node, MapNode) and name in node.entries:
            mark, node = node.entries[name].key_mark, node.entries[name].node
        elif position and isinstance(node, ListNode) and int(position) < len(node.items):
            node = node.items[int(position)]
            mark = node.mark
        else:
            return None
    return mark


def mark_at(node: Node, path: Sequence[str | int], otherwise: Mark) -> Mark:
    """Return where the value at a path inside a node was written, or ``otherwise`` where it was not."""
    for part in path:
        inner: Node | None = None
        if isinstance(node, MapNode) and isinstance(part, str):
            inner = node.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            inner = node.items[part]
        if inner is None:
            return otherwise
        node = inner
    return node.mark
