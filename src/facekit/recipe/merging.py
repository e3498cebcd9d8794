"""How one layer of a recipe lies on another: base recipes, the file itself, the overrides."""

from __future__ import annotations

import re
from dataclasses import replace

from facekit.interfaces import FacekitError, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, is_null, raised
from facekit.recipe.problems import Path, Problems, show_path
from facekit.recipe.settings import AugmentCore, DataSettings, LossSettings, OptimiserCore, ScheduleCore
from facekit.registry import join_use, name_of_use, split_use

_POSITION = re.compile(r"\[([0-9]+)\]|([0-9]+)")
_NAME = re.compile(r"\[([A-Za-z_][\w./-]*)\]")

APPENDED = "[+]"
"""The key of an override that adds to the end of a list."""

_FREE: tuple[Path, ...] = (
    ("train", "optimiser", "lr_scale"),
    ("train", "optimiser", "of"),
    ("train", "schedule", "of"),
)
"""Maps whose keys are free, so that taking one away must be possible: null does."""

_EITHER: tuple[tuple[Path, tuple[str, ...], tuple[str, ...]], ...] = (
    (("train",), ("steps",), ("epochs",)),
    (("train", "ema"), ("half_life", "ramp_up"), ("decay", "warmup")),
)
"""Settings that say the same in two ways. The first of each group decides; the upper layer's group wins."""


def merge(base: Node | None, over: Node, *, problems: Problems, path: Path = ()) -> Node:
    """Return a layer laid over another.

    Maps merge and lists replace. A changed ``use:`` drops the options beside it, since they belong to another
    component; the keys beside it that belong to the core stay. Another version of one component drops nothing: each
    option keeps the version it was written for. Of ``train.steps`` and ``train.epochs`` the upper layer's wins, and
    of ``half_life`` and ``decay`` of ``train.ema``. A null takes away a factor in ``train.optimiser.lr_scale``, and
    what a player has of its own in ``train.optimiser.of`` and ``train.schedule.of``.

    Args:
        base: the lower layer; None where it has nothing here.
        over: the upper layer.
        problems: collects overrides that fit no list or map.
        path: where in the recipe both stand.
    """
    if not isinstance(over, MapNode):
        return over
    if isinstance(base, ListNode) and over.by_path:
        return _merge_list(base, over, problems, path)
    if not isinstance(base, MapNode):
        base = MapNode({}, over.mark)
    entries = dict(base.entries)
    if _changes_use(base, over):
        kept = _core_keys(path)
        entries = {key: entry for key, entry in entries.items() if kept is None or key in kept or key == "use"}
    elif _core_keys(path) is not None:
        entries, over = _pin_versions(entries, over)
    for place, first, second in _EITHER:
        for (key, *_), others in ((first, second), (second, first)) if path == place else ():
            if not is_null(over.get(key)) and is_null(over.get(others[0])):
                entries = {name: entry for name, entry in entries.items() if name not in others}
    for key, entry in raised(over.entries, base.entries).items():
        if over.by_path and key.startswith("["):
            what = "a map" if base.entries else "not a list"
            problems.add(f"{show_path(path)} is {what}, so it has no position {key}", entry.key_mark, path)
            continue
        if path in _FREE and is_null(entry.node):
            entries.pop(key, None)
            continue
        below = entries.get(key)
        merged = merge(below.node if below else None, entry.node, problems=problems, path=(*path, key))
        # A key that is only passed through on the way to an override keeps the place it was written in.
        passed = below is not None and isinstance(entry.node, MapNode) and not isinstance(below.node, ScalarNode)
        key_mark = below.key_mark if below is not None and passed else entry.key_mark
        entries[key] = replace(entry, key_mark=key_mark, node=merged)
    return MapNode(entries, base.mark if base.entries else over.mark)


def items_of(node: Node) -> tuple[Node, ...]:
    """Return the items of a list; anything else is one item."""
    return node.items if isinstance(node, ListNode) else (node,)


def _merge_list(base: ListNode, over: MapNode, problems: Problems, path: Path) -> ListNode:
    items: list[Node | None] = list(base.items)
    added: list[Node] = []
    for key, entry in over.entries.items():
        if key == APPENDED:
            added += items_of(entry.node)
            continue
        position = _position(base, key, entry, problems, path)
        if position is None:
            continue
        if is_null(entry.node):
            items[position] = None  # taken away at the end: positions are those of the layer below
        else:
            items[position] = merge(items[position], entry.node, problems=problems, path=(*path, position))
    return ListNode((*(item for item in items if item is not None), *added), base.mark)


def _position(base: ListNode, key: str, entry: Entry, problems: Problems, path: Path) -> int | None:
    """Return the position in a list that a key of an override means; None, and a problem, where there is none."""
    items = base.items
    named = _NAME.fullmatch(key)
    if named is not None:
        names = [_names(item) for item in items]
        found = [position for position, own in enumerate(names) if named[1] in own]
        if len(found) == 1:
            return found[0]
        if found:
            message, remedy = f"{show_path(path)} has {len(found)} items called {named[1]!r}", "give the position"
        else:
            known = [own[0] for own in names if own]
            message = f"{show_path(path)} has no item called {named[1]!r}"
            remedy = did_you_mean(named[1], known) or (f"it has {', '.join(known)}" if known else "give the position")
        problems.add(message, entry.key_mark, path, remedy)
        return None
    match = _POSITION.fullmatch(key)
    if match is None:
        message = f"{show_path(path)} is a list, so a position must follow, not {key!r}"
        problems.add(message, entry.key_mark, path, f"write {show_path((*path, 0))}")
        return None
    digits = match.group(1) or match.group(2)
    position = int(digits) if len(digits) < 10 else len(items)
    if position >= len(items):
        extent = f"positions 0 to {len(items) - 1}" if items else "no items"
        problems.add(f"{show_path(path)} has no position {digits}; it has {extent}", entry.key_mark, path)
        return None
    return position


def _names(item: Node) -> list[str]:
    """Return what an item can be called by: its label, its component's short name, its component's whole id."""
    if not isinstance(item, MapNode):
        return []
    label, use = (item.get(key) for key in ("label", "use"))
    names = [label.value] if isinstance(label, ScalarNode) and isinstance(label.value, str) else []
    if isinstance(use, ScalarNode) and isinstance(use.value, str):
        whole = name_of_use(use.value)
        names += [whole.rsplit("/", 1)[-1], whole]
    return names


def _changes_use(base: MapNode, over: MapNode) -> bool:
    before, after = base.get("use"), over.get("use")
    if not isinstance(before, ScalarNode) or not isinstance(after, ScalarNode):
        return False
    if isinstance(before.value, str) and isinstance(after.value, str):
        # `pix2pixhd_global` and `pix2pixhd/pix2pixhd_global` are one component as long as only one names a namespace.
        old, new = name_of_use(before.value), name_of_use(after.value)
        short = [name.rsplit("/", 1)[-1] for name in (old, new)]
        return old != new and (short[0] != short[1] or ("/" in old) == ("/" in new))
    return before.value != after.value


def _pin_versions(entries: dict[str, Entry], over: MapNode) -> tuple[dict[str, Entry], MapNode]:
    """Return both layers of a component so that no option is taken for one of another version.

    Where both state a version, options of the lower layer keep theirs. Where the upper one states none, it is no
    statement about the version, and the lower one's holds.
    """
    before, after = _version_in(entries.get("use")), _version_in(over.entries.get("use"))
    if before is None or "use" not in over.entries:
        return entries, over
    if after is None:
        use = over.entries["use"]
        if isinstance(use.node, ScalarNode) and isinstance(use.node.value, str) and "@" not in use.node.value:
            kept = replace(use, node=ScalarNode(join_use(use.node.value, before), use.node.mark))
            over = replace(over, entries={**over.entries, "use": kept})
        return entries, over
    pinned = {key: replace(entry, version=before) if entry.version is None else entry for key, entry in entries.items()}
    return pinned, over


def _version_in(use: Entry | None) -> int | None:
    if use is None or not isinstance(use.node, ScalarNode) or not isinstance(use.node.value, str):
        return None
    try:
        return split_use(use.node.value)[1]
    except FacekitError:  # reported where it is looked up, unless an upper layer mends it
        return None


def _core_keys(path: Path) -> frozenset[str] | None:
    """Return the keys beside a ``use:`` that are no options of the component; None where all of them are not."""
    if path == ("data",):
        return frozenset(DataSettings.model_fields)
    if path[:1] == ("losses",):
        return frozenset(LossSettings.model_fields)
    if path == ("train", "optimiser"):
        return frozenset(OptimiserCore.model_fields)
    if path == ("train", "schedule") or (path[:3] == ("train", "schedule", "of") and len(path) == 4):
        return frozenset(ScheduleCore.model_fields)
    if path == ("train", "augment"):
        return frozenset(AugmentCore.model_fields)
    if path[:1] == ("train",):
        return None
    return frozenset()
