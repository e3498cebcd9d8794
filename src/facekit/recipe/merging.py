"""How one layer of a recipe lies on another (base recipes, the file itself, the overrides), and how overrides are read:
``--set model.generator.blocks=9``, ``--set losses.generator[perceptual].weight=5``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from facekit.interfaces import Options, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, is_null, items_of, text_of, use_of
from facekit.recipe.problems import Path, Problems, show_path
from facekit.recipe.resolved import OVERRIDE, Mark
from facekit.recipe.settings import AugmentCore, DataSettings, LossSettings, OptimiserCore, ScheduleCore
from facekit.recipe.yaml_source import MarkMaker, file_marks, parse_yaml
from facekit.registry import name_of_use

_SEGMENT = re.compile(r"[^.\[\]=\s]+|\[(?:[0-9]+|\+|[A-Za-z_][\w./-]*)\]")
_POSITION = re.compile(r"\[([0-9]+)\]|([0-9]+)")
_NAME = re.compile(r"\[([A-Za-z_][\w./-]*)\]")
_LONGEST_NAME = 80

_APPENDED = "[+]"
"""The key of an override that adds to the end of a list."""

MarkAt = Callable[[int], Mark]
"""Makes the mark of a place in a path."""

_FREE: tuple[Path, ...] = (
    ("train", "optimiser", "lr_scale"),
    ("train", "optimiser", "of"),
    ("train", "schedule", "of"),
)
"""Maps whose keys are free, so that taking one away must be possible: null does."""

_EITHER: dict[Path, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("train",): (("steps",), ("epochs",)),
    ("train", "ema"): (("half_life", "ramp_up"), ("decay", "warmup")),
}
"""Settings that say the same in two ways. The first of each group decides; the upper layer's group wins."""

_CORE: dict[Path, type[Options]] = {
    ("data",): DataSettings,
    ("train", "optimiser"): OptimiserCore,
    ("train", "schedule"): ScheduleCore,
    ("train", "augment"): AugmentCore,
}
"""The settings of the core beside the options of a component, which stay when it is exchanged."""


def merge(base: Node | None, over: Node, *, problems: Problems, path: Path = (), one_layer: bool = False) -> Node:
    """Return a layer laid over another.

    Maps merge and lists replace. A changed ``use:`` drops the options beside it, since they belong to another
    component; the keys beside it that belong to the core stay. Of ``train.steps`` and ``train.epochs`` the upper
    layer's wins, and of ``half_life`` and ``decay`` of ``train.ema``. A null takes away a factor in
    ``train.optimiser.lr_scale``, and what a player has of its own in ``train.optimiser.of`` and ``train.schedule.of``.

    Args:
        base: the lower layer; None where it has nothing here.
        over: the upper layer.
        problems: collects overrides that fit no list or map.
        path: where in the recipe both stand.
        one_layer: both are parts of one layer that lies on the recipe later: they are only put together.
    """
    if not isinstance(over, MapNode):
        return over
    if isinstance(base, ListNode) and over.by_path:
        return _merge_list(base, over, problems, path)
    if not isinstance(base, MapNode):
        base = MapNode({}, over.mark)
    entries = dict(base.entries)
    before, after = use_of(base), use_of(over)
    if before is not None and after is not None and not one_layer:
        # `pix2pixhd_global` and `pix2pixhd/pix2pixhd_global` are one component as long as only one names a namespace.
        old, new = name_of_use(before), name_of_use(after)
        same_name = old.rsplit("/", 1)[-1] == new.rsplit("/", 1)[-1]
        if old != new and not (same_name and ("/" in old) != ("/" in new)):
            core = LossSettings if path[:1] == ("losses",) else ScheduleCore if path[:-1] in _FREE else _CORE.get(path)
            kept = {"use", *(core.model_fields if core is not None else ())}
            entries = {key: entry for key, entry in entries.items() if key in kept}
    first, second = _EITHER.get(path, ((), ()))
    for mine, others in ((first, second), (second, first)) if first else ():
        if not is_null(over.get(mine[0])) and is_null(over.get(others[0])):
            entries = {key: entry for key, entry in entries.items() if key not in others}
    for key, entry in over.entries.items():
        below = entries.get(key)
        if one_layer and key == _APPENDED and below is not None:
            both = ListNode((*items_of(below.node), *items_of(entry.node)), below.node.mark)
            entries[key] = replace(entry, node=both)
            continue
        if not one_layer and over.by_path and key.startswith("["):
            what = "a map" if base.entries else "not a list"
            problems.add(f"{show_path(path)} is {what}, so it has no position {key}", entry.key_mark, path)
            continue
        if not one_layer and path in _FREE and is_null(entry.node):
            entries.pop(key, None)
            continue
        lower = below.node if below is not None else None
        merged = merge(lower, entry.node, problems=problems, path=(*path, key), one_layer=one_layer)
        # A key that is only passed through on the way to an override keeps the place it was written in.
        passed = below is not None and isinstance(entry.node, MapNode) and not isinstance(lower, ScalarNode)
        entries[key] = Entry(below.key_mark if below is not None and passed else entry.key_mark, merged)
    by_path = one_layer and (base.by_path or over.by_path)
    return MapNode(entries, base.mark if base.entries else over.mark, by_path)


def _merge_list(base: ListNode, over: MapNode, problems: Problems, path: Path) -> ListNode:
    items: list[Node | None] = list(base.items)
    added: list[Node] = []
    for key, entry in over.entries.items():
        if key == _APPENDED:
            added += items_of(entry.node)
            continue
        position = _position(base.items, key, entry.key_mark, problems, path)
        if position is None:
            continue
        if is_null(entry.node):
            items[position] = None  # taken away at the end: positions are those of the layer below
        else:
            items[position] = merge(items[position], entry.node, problems=problems, path=(*path, position))
    return ListNode((*(item for item in items if item is not None), *added), base.mark)


def _position(items: Sequence[Node], key: str, mark: Mark, problems: Problems, path: Path) -> int | None:
    """Return the position in a list that a key of an override means; None, and a problem, where there is none."""
    named, numbered, whole = _NAME.fullmatch(key), _POSITION.fullmatch(key), show_path(path)
    remedy: str | None = None
    if numbered is not None:
        digits = numbered[1] or numbered[2]
        if len(digits) < 10 and int(digits) < len(items):
            return int(digits)
        extent = f"positions 0 to {len(items) - 1}" if items else "no items"
        message = f"{whole} has no position {digits}; it has {extent}"
    elif named is None:
        message = f"{whole} is a list, so a position must follow, not {key!r}"
        remedy = f"write {show_path((*path, 0))}"
    else:
        # An item may be called by its label, its component's short name, or its component's whole id.
        names: list[list[str]] = []
        for item in items:
            use, label = (
                name_of_use(use_of(item) or ""),
                text_of(item.get("label")) if isinstance(item, MapNode) else "",
            )
            names.append([name for name in (label, use.rsplit("/", 1)[-1], use) if name])
        found = [position for position, own in enumerate(names) if named[1] in own]
        if len(found) == 1:
            return found[0]
        if found:
            message, remedy = f"{whole} has {len(found)} items called {named[1]!r}", "give the position"
        else:
            known = [own[0] for own in names if own]
            message = f"{whole} has no item called {named[1]!r}"
            remedy = did_you_mean(named[1], known) or (f"it has {', '.join(known)}" if known else "give the position")
    problems.add(message, mark, path, remedy)
    return None


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
        shown = text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."
        file = OVERRIDE + shown.replace("\n", "\\n").replace("\r", "\\r")
        left, equals, value = text.partition("=")
        whole = file_marks(text, file)

        def place(offset: int, whole: MarkMaker = whole) -> Mark:
            return whole(0, offset)

        def marks(line: int, column: int, whole: MarkMaker = whole, start: int = len(left) + 1) -> Mark:
            return whole(line, column + (start if line == 0 else 0))

        if not equals:
            problems.add("an override is `path=value`; the `=` is missing", place(len(place(0).text)))
            continue
        segments = _segments(left, problems, place)
        if segments is None:
            continue
        before = len(problems.found)
        node = parse_yaml(value, marks=marks, problems=problems, path=tuple(key for key, _ in segments))
        if node is None and len(problems.found) == before:
            node = ScalarNode(None, marks(0, 0))
        if node is not None:
            layer = _laid(layer, segments, node, place, problems)
    return layer


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
            layer = _laid(layer, segments, entry.node, place, problems)
    return layer


def _laid(
    layer: MapNode | None, segments: Sequence[tuple[str, int]], node: Node, place: MarkAt, problems: Problems
) -> MapNode:
    """Return a layer with a value added at a path."""
    for key, offset in reversed(segments):
        node = MapNode({key: Entry(place(offset), node)}, place(offset), by_path=True)
    merged = merge(layer, node, problems=problems, one_layer=True)
    assert isinstance(merged, MapNode)  # there is at least one segment
    return merged


def _segments(left: str, problems: Problems, place: MarkAt) -> list[tuple[str, int]] | None:
    """Return the keys of a path, each with where it starts; None, and a problem, where it is no path."""
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
