"""The registry: every component, label map, recipe and command that the loaded plugins offer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from facekit.interfaces import INTERFACE_VERSION, FacekitError, FurtherResults, LabelMap
from facekit.registry.built_in import KINDS_WITH_OWN, built_in, find_built_in, why_refused
from facekit.registry.discovery import (
    SWITCHES,
    TOOLKIT,
    PluginOrigin,
    how_to_leave_one_out,
    how_to_upgrade,
    requirements_of,
)
from facekit.registry.event_dispatch import Watchers
from facekit.registry.install_hints import how_to_get
from facekit.registry.plugin_record import PluginRecord
from facekit.registry.plugins import PluginSet
from facekit.registry.spec import CommandSpec, ComponentSpec, Kind, split_use
from facekit.version import __version__

READING_COMPONENTS = "reading its components"
"""What a plugin failed in that declares components nobody can use."""

READING_LABEL_MAPS = "reading its label maps"

_NEEDS_TOOLKIT = re.compile(r"facekit[-_.]toolkit\s*\(?\s*([<>=!~][^;)]*)", re.IGNORECASE)


class UnknownComponent(FacekitError):
    """A name that no loaded component has; the remedy says near names, or where it is to be had."""

    def __init__(self, kind: Kind, name: str, message: str, remedy: str | None) -> None:
        super().__init__(message, remedy=remedy)
        self.kind, self.name = kind, name


@dataclass(frozen=True)
class RegisteredComponent:
    """A component and the plugin it comes from."""

    spec: ComponentSpec
    origin: PluginOrigin


class Clash(NamedTuple):
    """An id that several plugins claim; none of them gets it."""

    kind: Kind
    id: str
    origins: tuple[PluginOrigin, ...]


class Refusal(NamedTuple):
    """A component that cannot be used, because it is written for another version of the interfaces."""

    kind: Kind
    id: str
    origin: PluginOrigin
    message: str
    remedy: str


@dataclass
class Registry:
    """What the loaded plugins offer. Build one with :func:`load_registry`."""

    plugins: PluginSet
    components: dict[tuple[Kind, str], RegisteredComponent] = field(default_factory=dict)
    clashes: list[Clash] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    label_maps: dict[str, LabelMap] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Ask the plugins again what they offer (after one was registered or taken out)."""
        self.components.clear()
        self.clashes.clear()
        self.refused.clear()
        self.label_maps.clear()
        for origin, specs in self.plugins.call("facekit_components"):
            for spec in specs:
                self._add(origin, spec)
        origins: dict[str, PluginOrigin] = {}
        for origin, maps in self.plugins.call("facekit_label_maps"):
            for label_map in maps:
                if label_map.name in origins:
                    taken = f"label map {label_map.name!r} is already offered by {origins[label_map.name]}"
                    self.plugins.quarantine(origin, READING_LABEL_MAPS, taken)
                else:
                    origins[label_map.name] = origin
                    self.label_maps[label_map.name] = label_map
        for name, label_map in list(self.label_maps.items()):
            finer = self.label_maps.get(label_map.of)
            try:
                if finer is not None:
                    label_map.merged_ids(finer)
            except ValueError as error:
                self.plugins.quarantine(origins[name], READING_LABEL_MAPS, str(error))
                del self.label_maps[name]

    def find(self, kind: Kind, name: str, *, record: PluginRecord | None = None) -> RegisteredComponent:
        """Return the component a recipe means by ``name``: an id, or a name that only one namespace has.

        ``record`` is what the run was made with whose recipe names it, to say where a component is to be had.

        Raises:
            UnknownComponent: no plugin offers it, several claim it, or several namespaces have the name.
        """
        own = find_built_in(kind, name)
        if own is not None:  # no plugin that is installed changes what these names mean
            return RegisteredComponent(*own)
        for clash in self.clashes:
            if clash.kind == kind and name in (clash.id, clash.id.split("/")[1]):
                sides = " and ".join(f"{origin} ({origin.target})" for origin in clash.origins)
                message = f"{kind} {clash.id!r} is claimed by {sides}"
                raise UnknownComponent(kind, name, message, how_to_leave_one_out(clash.origins))
        mine = [entry for (k, _), entry in self.components.items() if k == kind]
        candidates = [entry for entry in mine if name == (entry.spec.id if "/" in name else entry.spec.name)]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            ids = ", ".join(sorted(entry.spec.id for entry in candidates))
            raise UnknownComponent(kind, name, f"several components are called {name!r}: {ids}", "write the whole id")
        for refusal in self.refused:
            if refusal.kind == kind and name in (refusal.id, refusal.id.split("/")[1]):
                raise UnknownComponent(kind, name, refusal.message, refusal.remedy)
        refused = why_refused(name) if kind == "optimiser" else None
        if refused is not None:
            raise UnknownComponent(kind, name, f"{refused}, so it cannot train players", "choose another optimiser")
        names = self.names(kind)
        elsewhere = next((k for (k, id_) in self.components if name in (id_, id_.split("/")[1])), None)
        hint = f"{name!r} is a {elsewhere}, not a {kind}" if elsewhere else None
        hint = hint or how_to_get(kind, name, names=names, plugins=self.plugins, record=record)
        hint = hint or f"known: {', '.join(names) or 'none: is the plugin installed?'}"
        raise UnknownComponent(kind, name, f"no {kind} is called {name!r}", hint)

    def find_use(
        self, kind: Kind, use: str, *, record: PluginRecord | None = None
    ) -> tuple[RegisteredComponent, int | None]:
        """Return the component that a recipe's ``use:`` means, and the version it is written for; None for the newest.

        Raises:
            UnknownComponent: as :meth:`find` does; or it is written for no version, or for one newer than is installed.
        """
        try:
            name, version = split_use(use)
        except FacekitError as error:
            raise UnknownComponent(kind, use, error.message, error.remedy) from error
        found = self.find(kind, name, record=record)
        if version is not None and version > found.spec.version:
            raise UnknownComponent(
                kind,
                name,
                f"this is written for version {version} of the {kind} {found.spec.id!r}, and {found.origin} has "
                f"version {found.spec.version}",
                (record.as_made(found.origin.distribution) if record else None) or how_to_upgrade(found.origin),
            )
        return found, version

    def of_kind(self, kind: Kind) -> list[RegisteredComponent]:
        """Return the components of a kind, by id: first those that need no plugin."""
        own = [RegisteredComponent(*each) for each in built_in(kind).values()]
        return own + [self.components[key] for key in sorted(self.components) if key[0] == kind]

    def everything(self) -> list[RegisteredComponent]:
        """Return the components of all kinds: those of plugins, and those that need none."""
        own = (each for kind in KINDS_WITH_OWN for each in built_in(kind).values())
        return [*self.components.values(), *(RegisteredComponent(*each) for each in own)]

    def names(self, kind: Kind) -> list[str]:
        """Return the short names of a kind's components."""
        return sorted({entry.spec.name for entry in self.of_kind(kind)})

    def recipe_paths(self) -> list[tuple[PluginOrigin, Path]]:
        """Return the recipe files the plugins ship."""
        found: list[tuple[PluginOrigin, Path]] = []
        for origin, paths in self.plugins.call("facekit_recipes"):
            for path in paths:
                files: Iterable[Path] = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
                found.extend((origin, file) for file in files)
        return found

    def commands(self) -> list[tuple[PluginOrigin, CommandSpec]]:
        """Return the commands the plugins add."""
        return [(origin, spec) for origin, specs in self.plugins.call("facekit_commands") for spec in specs]

    def further_results(self, run: Path) -> list[FurtherResults]:
        """Return what plugins measured of a run beside its evaluation."""
        return [found for _, results in self.plugins.call("facekit_further_results", run=run) for found in results]

    def watchers(self) -> Watchers:
        """Return the plugins that watch, ready to be told of one run."""
        return Watchers(self.plugins)

    def _add(self, origin: PluginOrigin, spec: ComponentSpec) -> None:
        refused = _refused_version(origin, spec)
        if refused is not None:
            self.refused.append(Refusal(spec.kind, spec.id, origin, *refused))
            self.plugins.quarantine(origin, READING_COMPONENTS, "; ".join(refused))
            return
        key = (spec.kind, spec.id)
        own = find_built_in(spec.kind, spec.id)
        if own is not None:
            self.plugins.quarantine(origin, READING_COMPONENTS, f"{spec.kind} {spec.id!r} belongs to {own[1]}")
            return
        for index, clash in enumerate(self.clashes):
            if (clash.kind, clash.id) == key:
                self.clashes[index] = Clash(spec.kind, spec.id, (*clash.origins, origin))
                return
        if key in self.components:
            other = self.components.pop(key)
            self.clashes.append(Clash(spec.kind, spec.id, (other.origin, origin)))
            return
        self.components[key] = RegisteredComponent(spec, origin)


def _refused_version(origin: PluginOrigin, spec: ComponentSpec) -> tuple[str, str] | None:
    """Return why a component's version of the interfaces is not the one that facekit speaks, and what to do."""
    written, which = spec.interface_version, f"{spec.kind} {spec.id!r}"
    if type(written) is not int or written < 1:
        message = f"{which} states {written!r} as its interface version; versions are whole numbers from 1"
        return message, f"write interface_version={INTERFACE_VERSION} in its spec"
    if written == INTERFACE_VERSION:
        return None
    message = (
        f"{which} is written for version {written} of facekit's interfaces, and this {TOOLKIT} ({__version__}) "
        f"speaks version {INTERFACE_VERSION}"
    )
    if written < INTERFACE_VERSION:
        return message, how_to_upgrade(origin)
    for requirement in requirements_of(origin.distribution):
        match = _NEEDS_TOOLKIT.match(requirement)
        if match:
            return message, f"upgrade facekit: `pip install '{TOOLKIT}{match[1].strip()}'`, which {origin} asks for"
    return message, f"upgrade facekit: `pip install --upgrade {TOOLKIT}`; or install an older {origin.distribution}"


def load_registry(*plugin_files: Path) -> Registry:
    """Load the installed plugins, and plugins that are single files.

    The result is kept for the process, one for each set of files and ``FACEKIT_*`` switches; :func:`forget_registries`
    drops it.

    Raises:
        FacekitError: a plugin file fails, or a switch asks for what cannot be had.
    """
    return _load_registry(plugin_files, tuple(os.environ.get(switch) for switch in SWITCHES))


def forget_registries() -> None:
    """Forget what :func:`load_registry` loaded: the next call looks for plugins again."""
    _load_registry.cache_clear()


@cache
def _load_registry(plugin_files: tuple[Path, ...], switches: tuple[str | None, ...]) -> Registry:
    plugins = PluginSet({name: value for name, value in zip(SWITCHES, switches) if value is not None})
    plugins.load_installed()
    for path in plugin_files:
        plugins.load_file(path)
    return Registry(plugins)
