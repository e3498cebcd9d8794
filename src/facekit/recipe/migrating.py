"""Recipes that were written for older versions of their components, as the installed versions have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from facekit.recipe.network_kinds import core_settings, kind_of_network
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, plain
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import Mark
from facekit.registry import Kind, OptionNote, Registry, UnknownComponent, join_use, migrate_options, name_of_use


def component_places(root: MapNode, registry: Registry | None) -> Iterator[tuple[Path, Kind]]:
    """Yield where components, or lists of them, stand in a merged recipe, and their kind.

    Without a registry it is the likeliest kind.
    """
    yield ("data",), "dataset"
    model, losses = root.get("model"), root.get("losses")
    for name, entry in model.entries.items() if isinstance(model, MapNode) else ():
        use = entry.node.get("use") if isinstance(entry.node, MapNode) else None
        written = use.value if isinstance(use, ScalarNode) and isinstance(use.value, str) else ""
        yield ("model", name), kind_of_network(name, written, registry)
    for player in losses.entries if isinstance(losses, MapNode) else ():
        yield ("losses", player), "loss"
    yield ("metrics",), "metric"
    yield ("train", "optimiser"), "optimiser"
    yield ("train", "schedule"), "schedule"
    yield ("train", "augment"), "augmentation"


def migrate_components(root: MapNode, *, registry: Registry, problems: Problems) -> MapNode:
    """Return a merged recipe with every component's options as the installed version has them.

    Values keep the places they were written in, so that what is found wrong with them later is shown there; options
    that are filled in stand where the ``use:`` does. A ``use:`` that states an older version states the installed one
    then, so that nothing is migrated twice. A component that is not found, or not in this version, is left for the
    schema check to report.

    Args:
        root: the merged recipe; whatever is wrong with its form stays as it is.
        registry: the components.
        problems: collects what cannot be migrated, and a notice for all that was.
    """
    for path, kind in list(component_places(root, registry)):
        change = partial(_migrate, kind=kind, registry=registry, problems=problems)
        root = _changed_at(root, path, (), change)
    return root


def _changed_at(node: MapNode, rest: Path, path: Path, change: Callable[[MapNode, Path], MapNode]) -> MapNode:
    """Return a map in which the component at a path, or each one of a list there, is changed."""
    key, *deeper = rest
    assert isinstance(key, str)
    entry = node.entries.get(key)
    if entry is None:
        return node
    inner, here = entry.node, (*path, key)
    changed: Node = inner
    if isinstance(inner, MapNode):
        changed = _changed_at(inner, tuple(deeper), here, change) if deeper else change(inner, here)
    elif isinstance(inner, ListNode) and not deeper:
        items = (change(item, (*here, i)) if isinstance(item, MapNode) else item for i, item in enumerate(inner.items))
        changed = replace(inner, items=tuple(items))
    return replace(node, entries={**node.entries, key: replace(entry, node=changed)})


def _migrate(node: MapNode, path: Path, *, kind: Kind, registry: Registry, problems: Problems) -> MapNode:
    use = node.entries.get("use")
    if use is None or not isinstance(use.node, ScalarNode) or not isinstance(use.node.value, str):
        return node
    try:
        found, version = registry.find_use(kind, use.node.value)
    except UnknownComponent:
        return node  # the schema check says so, with what else is wrong
    spec = found.spec
    if not spec.migrations:
        return node
    core = core_settings(kind).model_fields
    own = {key: entry for key, entry in node.entries.items() if key != "use" and key not in core}
    migrated = migrate_options(
        spec,
        {key: plain(entry.node) for key, entry in own.items()},
        version=version,
        versions={key: entry.version for key, entry in own.items() if entry.version is not None},
        layers={key: entry.layer for key, entry in own.items()},
    )

    def place(note: OptionNote) -> tuple[Mark, Path]:
        name = note.written or note.name
        mark = own[note.written].key_mark if note.written is not None else use.node.mark
        return mark, (*path, name) if name is not None else path

    for note in migrated.refusals:
        mark, where = place(note)
        problems.add(note.message, mark, where, note.remedy)
    for note in migrated.notes:
        problems.note(note.message, *place(note))
    entries: dict[str, Entry] = {key: entry for key, entry in node.entries.items() if key not in own}
    if version is not None and version < spec.version:
        newest = ScalarNode(join_use(name_of_use(use.node.value), spec.version), use.node.mark)
        entries["use"] = replace(use, node=newest)
    for name, value in migrated.options.items():
        if name in migrated.written:
            entry = own[migrated.written[name]]
            entries[name] = replace(entry, node=_rewritten(value, entry.node), version=None)
        else:
            entries[name] = Entry(use.key_mark, _planted(value, use.node.mark), use.layer)
    return replace(node, entries=entries)


def _rewritten(value: Any, node: Node) -> Node:
    """Return a value as a node with the places of the node it was made of."""
    if isinstance(node, ListNode) and isinstance(value, list) and len(value) == len(node.items):
        items = tuple(_rewritten(inner, item) for inner, item in zip(value, node.items))
        return node if all(new is old for new, old in zip(items, node.items)) else ListNode(items, node.mark)
    if value is None or isinstance(value, bool | int | float | str):
        same = isinstance(node, ScalarNode) and type(node.value) is type(value) and node.value == value
        return node if same else ScalarNode(value, node.mark)
    return node if value == plain(node) else _planted(value, node.mark)


def _planted(value: Any, mark: Mark) -> Node:
    """Return plain data as a node, all of it in one place."""
    if isinstance(value, Mapping):
        return MapNode({str(key): Entry(mark, _planted(inner, mark)) for key, inner in value.items()}, mark)
    if isinstance(value, list | tuple):
        return ListNode(tuple(_planted(inner, mark) for inner in value), mark)
    return ScalarNode(value, mark)
