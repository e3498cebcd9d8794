"""The recipe as a tree in which every value knows where it was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """A key of a map, where it was written, and its value."""

    key_mark: Mark
    node: Node


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


def text_of(node: Node | None) -> str | None:
    """Return a value that is text; None for any other."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None


def use_of(node: Node | None) -> str | None:
    """Return the ``use:`` of a map that names a component; None where there is none."""
    return text_of(node.get("use")) if isinstance(node, MapNode) else None


def items_of(node: Node) -> tuple[Node, ...]:
    """Return the items of a list; anything else is one item."""
    return node.items if isinstance(node, ListNode) else (node,)


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
        return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"the number {value}"


def entry_at(node: Node, path: Sequence[str | int]) -> Entry | None:
    """Return the entry at a path inside a node; None where there is none. An item of a list is its own key."""
    found: Entry | None = None
    for part in path:
        if isinstance(node, MapNode) and isinstance(part, str):
            found = node.entries.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            found = Entry(node.items[part].mark, node.items[part])
        else:
            return None
        if found is None:
            return None
        node = found.node
    return found


def mark_at(node: Node, path: Sequence[str | int], otherwise: Mark) -> Mark:
    """Return where the value at a path inside a node was written, or ``otherwise`` where it was not."""
    found = entry_at(node, path)
    return found.node.mark if found is not None else otherwise
