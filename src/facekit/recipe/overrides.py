"""Overrides: ``--set model.generator.blocks=9``, ``--set losses.generator[perceptual].weight=5``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from facekit.recipe.merging import APPENDED, items_of, merge
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, is_null, raised
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import OVERRIDE, Mark
from facekit.recipe.yaml_source import parse_yaml, split_lines

_SEGMENT = re.compile(r"[^.\[\]=\s]+|\[(?:[0-9]+|\+|[A-Za-z_][\w./-]*)\]")
_LONGEST_NAME = 80

MarkAt = Callable[[int], Mark]


def read_overrides(overrides: Sequence[str], *, problems: Problems) -> MapNode | None:
    """Read overrides into one layer, to be laid over the recipe.

    Each is ``path=value``: keys joined by dots, and a value in YAML. An item of a list is named by its position
    (``[1]`` or ``.1``), or by its component or label (``[perceptual]``); null takes it away, and ``[+]`` adds one at
    the end. All of them are one layer, so that the order in which different things are set does not matter; of two that
    set the same thing the later one wins.

    Returns:
        The layer; None where there are no overrides that can be read.
    """
    layer: MapNode | None = None
    for text in overrides:
        override = _read(text, problems)
        if override is not None:
            layer = override if layer is None else _lay(layer, override, (), problems)
    return layer


def _read(text: str, problems: Problems) -> MapNode | None:
    shown = text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."
    file = OVERRIDE + shown.replace("\n", "\\n").replace("\r", "\\r")
    lines = split_lines(text)

    def place(offset: int) -> Mark:
        return Mark(file, 1, offset + 1, lines[0])

    left, equals, value = text.partition("=")
    if not equals:
        problems.add("an override is `path=value`; the `=` is missing", place(len(lines[0])))
        return None
    node = None
    segments = _segments(left, problems, place)
    if segments is not None:
        node = _value(value, len(left) + 1, file, lines, problems, tuple(key for key, _ in segments))
    return None if segments is None or node is None else _nested(segments, node, place)


def layer_of_paths(root: MapNode, *, problems: Problems) -> MapNode | None:
    """Return a map whose keys are paths, such as ``train.batch`` or ``losses.generator[perceptual]``, as one layer.

    It is what overrides are, but with places in the file that the map stands in.
    """
    layer: MapNode | None = None
    for text, entry in root.entries.items():
        quoted = entry.key_mark.text[entry.key_mark.column - 1 : entry.key_mark.column] in ("'", '"')

        def place(offset: int, mark: Mark = entry.key_mark, start: int = int(quoted)) -> Mark:
            return replace(mark, column=mark.column + start + offset)

        segments = _segments(text, problems, place)
        if segments is not None:
            nested = _nested(segments, entry.node, place)
            layer = nested if layer is None else _lay(layer, nested, (), problems)
    return layer


def _nested(segments: Sequence[tuple[str, int]], node: Node, place: MarkAt) -> MapNode:
    root: Node = node
    for key, offset in reversed(segments):
        root = MapNode({key: Entry(place(offset), root)}, place(offset), by_path=True)
    assert isinstance(root, MapNode)  # there is at least one segment
    return root


def _segments(left: str, problems: Problems, place: MarkAt) -> list[tuple[str, int]] | None:
    found: list[tuple[str, int]] = []
    offset = 0
    while True:
        match = _SEGMENT.match(left, offset)
        if match is None or (not found and match.group().startswith("[")):
            wrong = f"{left[offset]!r} cannot stand here" if offset < len(left) else "a key is missing here"
            break
        found.append((match.group(), offset))
        offset = match.end()
        if offset == len(left):
            return found
        if left[offset] == ".":
            offset += 1
        elif left[offset] != "[":
            wrong = f"{left[offset]!r} cannot stand here"
            break
    remedy = "write it like losses.generator[1].weight"
    problems.add(f"{wrong} in the path of an override", place(offset), remedy=remedy)
    return None


def _value(value: str, start: int, file: str, lines: list[str], problems: Problems, path: Path) -> Node | None:
    def marks(line: int, column: int) -> Mark:
        text = lines[line] if line < len(lines) else ""
        return Mark(file, line + 1, column + (start if line == 0 else 0) + 1, text)

    before = len(problems.found)
    node = parse_yaml(value, marks=marks, problems=problems, path=path)
    if node is None and len(problems.found) == before:
        return ScalarNode(None, marks(0, 0))
    return node


def _lay(below: MapNode, over: MapNode, path: Path, problems: Problems) -> MapNode:
    """Return one override laid on the earlier ones: maps merge, anything else replaces."""
    entries = dict(below.entries)
    if path == ("train",):
        for key, other in (("steps", "epochs"), ("epochs", "steps")):
            if not is_null(over.get(key)) and is_null(over.get(other)):
                entries.pop(other, None)
    for key, entry in raised(over.entries, below.entries).items():
        earlier, here = entries.get(key), (*path, key)
        if earlier is not None and key == APPENDED:
            both = ListNode((*items_of(earlier.node), *items_of(entry.node)), earlier.node.mark)
            entries[key] = replace(entry, node=both)
            continue
        if earlier is not None and isinstance(earlier.node, MapNode) and isinstance(entry.node, MapNode):
            laid = _lay(earlier.node, entry.node, here, problems)
            entries[key] = replace(entry, key_mark=earlier.key_mark, node=laid)
        elif earlier is not None and isinstance(earlier.node, ListNode) and isinstance(entry.node, MapNode):
            laid_on = merge(earlier.node, entry.node, problems=problems, path=here)
            entries[key] = replace(entry, key_mark=earlier.key_mark, node=laid_on)
        else:
            entries[key] = entry
    return MapNode(entries, below.mark, by_path=below.by_path or over.by_path)
