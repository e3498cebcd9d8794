"""Checks a section of a recipe that names a component: the core's settings, the component, its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from facekit.interfaces import Options, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, describe, is_null, plain, text_of
from facekit.recipe.problems import Path, Problems, show_path
from facekit.recipe.resolved import ComponentChoice, Mark
from facekit.recipe.settings_check import check_settings
from facekit.registry import ComponentSpec, Kind, PluginRecord, Registry, UnknownComponent

CoreSettings = TypeVar("CoreSettings", bound=Options)


@dataclass
class RecipeCheck:
    """What every check of a recipe needs.

    Args:
        root: the merged recipe.
        registry: the components.
        problems: collects the mistakes.
        record: of a run's recipe, the plugins that the run was made with.
    """

    root: MapNode
    registry: Registry
    problems: Problems
    record: PluginRecord | None = None

    def section(self, key: str) -> tuple[MapNode, Mark] | None:
        """Return a section of the recipe and where its key is written; None, and a problem, where there is none."""
        entry = self.root.entries.get(key)
        if entry is None:
            self.problems.add(f"the recipe needs `{key}:`", self.root.mark, (key,))
        elif not isinstance(entry.node, MapNode):
            self.problems.add(f"expected a map of settings, found {describe(entry.node)}", entry.node.mark, (key,))
        else:
            return entry.node, entry.key_mark
        return None

    def items(self, entry: Entry | None, path: Path) -> Sequence[Node]:
        """Return the items of a list; none, and a problem, where something else stands there."""
        if entry is None or is_null(entry.node):
            return ()
        if not isinstance(entry.node, ListNode):
            hint = "start the item with `- `" if isinstance(entry.node, MapNode) else None
            self.problems.add(f"expected a list, found {describe(entry.node)}", entry.node.mark, path, hint)
            return ()
        return entry.node.items

    def component(
        self, kind: Kind, node: Node, path: Path, mark: Mark, core: type[CoreSettings]
    ) -> tuple[ComponentChoice | None, CoreSettings | None]:
        """Check a map with ``use:``, of which ``mark`` is the key; None for what is wrong.

        ``core`` are the core's settings that stand beside the component's options.
        """
        problems = self.problems
        if not isinstance(node, MapNode):
            message = f"expected a map with `use:`, found {describe(node)}"
            problems.add(message, node.mark, path, f"write {{use: {text_of(node) or '...'}}}")
            return None, None
        own = {key: entry for key, entry in node.entries.items() if key in core.model_fields}
        settings = check_settings(core, own, path=path, mark=mark, problems=problems)
        use = node.entries.get("use")
        names = self.registry.names(kind) if use is None or text_of(use.node) is None else []
        candidates = f"one of {', '.join(names)}" if names else f"no plugin offers a {kind}"
        if use is None:
            hints = {key: did_you_mean(key, ["use"]) for key in node.entries if key not in own}
            for key in (misspelt := [key for key, hint in hints.items() if hint]):
                problems.add(f"unknown key {key!r}", node.entries[key].key_mark, (*path, key), hints[key])
            if not misspelt:
                problems.add("needs `use`, the name of a component", mark, path, candidates)
            return None, settings
        place: Path = (*path, "use")
        name = text_of(use.node)
        if name is None:
            message = f"expected the name of a component, found {describe(use.node)}"
            problems.add(message, use.node.mark, place, candidates)
            return None, settings
        try:
            registered, version = self.registry.find_use(kind, name, record=self.record)
        except UnknownComponent as error:
            problems.add(error.message, use.node.mark, place, error.remedy)
            return None, settings
        clash = sorted(set(core.model_fields) & set(registered.spec.options.model_fields))
        if clash:
            message = f"the plugin {registered.origin} has options that belong to the core here: {', '.join(clash)}"
            problems.add(message, use.node.mark, place)
            return None, settings
        entries = {key: entry for key, entry in node.entries.items() if key != "use" and key not in own}
        if registered.spec.migrations:
            entries = migrate_options(registered.spec, entries, version, path, problems)
        options = check_settings(
            registered.spec.options,
            entries,
            path=path,
            mark=mark if mark.file == use.key_mark.file else use.key_mark,
            problems=problems,
            also_known=core.model_fields,
        )
        if options is None:
            return None, settings
        return ComponentChoice(registered, options, show_path(path), use.node.mark), settings


def migrate_options(
    spec: ComponentSpec, entries: Mapping[str, Entry], version: int | None, path: Path, problems: Problems
) -> dict[str, Entry]:
    """Return options under the names of today; old names are recognised whatever version the recipe states."""
    today = {name for key, info in spec.options.model_fields.items() for name in (key, info.alias)}
    found = dict(entries)
    for migration in spec.migrations:
        since, summary = f"since version {migration.to} of {spec.id}", migration.summary.strip().rstrip(".")
        for old in [name for name in found if name in migration.renamed or name in migration.removed]:
            if old in today and (version is None or version >= migration.to):
                continue  # a later version gave the name to another option
            entry, new = found.pop(old), migration.renamed.get(old)
            here, gone = (*path, old), f"{old!r} is gone {since}"
            if new is None and repr(plain(entry.node)) in map(repr, migration.harmless.get(old, ())):
                problems.note(f"{gone}, and this value changed nothing: {summary}", entry.key_mark, here)
            elif new is None:
                problems.add(f"{gone}: {migration.removed[old].rstrip('.')}", entry.key_mark, here)
            elif new in found:
                message = f"{old!r} is called {new!r} {since}, and {new!r} is given too"
                problems.add(message, entry.key_mark, here, f"keep {new!r}")
            else:
                problems.note(f"{old!r} is called {new!r} {since}: {summary}", entry.key_mark, (*path, new))
                found[new] = entry
    return found
