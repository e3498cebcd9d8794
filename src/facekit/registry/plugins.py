"""Finding and loading plugins, each on its own, so that a broken one stops nothing but itself.

pluggy's own ``load_setuptools_entrypoints`` stops at the first entry point that raises and skips a second plugin of
the same name without a word. This loop goes through the entry points itself, records every failure, and goes on.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pluggy

from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.registry import hooks
from facekit.registry.spec import CommandSpec, ComponentSpec, PluginInfo

ENTRY_POINT_GROUP = "facekit.plugins"

SWITCHES = ("FACEKIT_NO_PLUGINS", "FACEKIT_PLUGINS", "FACEKIT_STRICT_PLUGINS")
"""The environment variables that say which plugins are loaded, and how failures are taken."""

_LISTS: dict[str, type] = {
    "facekit_components": ComponentSpec,
    "facekit_label_maps": LabelMap,
    "facekit_recipes": Path,
    "facekit_commands": CommandSpec,
}
"""What the items are of the hooks that return several."""

_FILE_MARKER = "__facekit_plugin_file__"


@dataclass(frozen=True)
class PluginOrigin:
    """Where a plugin comes from.

    Args:
        name: the entry point's name, or the file's stem.
        distribution: the distribution that declares it, or the path of a one-file plugin.
        version: the distribution's version; empty for a file.
        target: what the entry point names, ``module`` or ``module:attribute``.
    """

    name: str
    distribution: str
    version: str
    target: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class PluginFailure:
    """A plugin, or a part of one, that is quarantined: where, what it was doing, and what it raised."""

    origin: PluginOrigin
    stage: str
    error: str
    traceback: str


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin that was imported and registered."""

    origin: PluginOrigin
    plugin: object


class PluginSet:
    """The loaded plugins and the failures of those that could not be loaded.

    Args:
        environment: where ``FACEKIT_NO_PLUGINS`` (load none), ``FACEKIT_PLUGINS`` (load only these distributions or
            entry points, comma-separated) and ``FACEKIT_STRICT_PLUGINS`` (any failure is fatal) are read from.

    Raises:
        FacekitError: a plugin failed and failures are fatal.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self.strict = _is_on(environment.get("FACEKIT_STRICT_PLUGINS"))
        self.loaded: list[LoadedPlugin] = []
        self.failures: list[PluginFailure] = []
        self.skipped: list[PluginOrigin] = []
        self._manager = pluggy.PluginManager("facekit")
        self._manager.add_hookspecs(hooks)
        self._only = [name.strip() for name in environment.get("FACEKIT_PLUGINS", "").split(",") if name.strip()]
        self._none = _is_on(environment.get("FACEKIT_NO_PLUGINS"))
        self._silenced: set[tuple[int, str]] = set()
        self._files: dict[str, Path] = {}

    def load_installed(self) -> None:
        """Load every plugin that an installed distribution declares.

        Raises:
            FacekitError: ``FACEKIT_PLUGINS`` names something that is not installed.
        """
        only = {_normal(name) for name in self._only}
        known: set[str] = set()
        for origin, load in self._installed():
            names = {_normal(origin.name), _normal(origin.distribution)}
            known |= {origin.name, origin.distribution}
            if self._none or (only and not only & names):
                self.skipped.append(origin)
            else:
                self._load(origin, load)
        for name in self._only:
            if _normal(name) not in {_normal(other) for other in known}:
                raise FacekitError(
                    f"FACEKIT_PLUGINS names {name!r}, and no such plugin is installed",
                    remedy=did_you_mean(name, sorted(known)) or f"installed: {', '.join(sorted(known)) or 'none'}",
                )

    def load_file(self, path: Path) -> None:
        """Load a plugin that is one file; a second time, nothing happens.

        Raises:
            FacekitError: the file does not exist, or it fails: a file that was asked for by name is needed.
        """
        if not path.is_file():
            raise FacekitError("there is no such plugin file", where=str(path), remedy="give the path of a Python file")
        if self._files.get(path.stem) == path.resolve():
            return
        if path.stem in self._files or _is_module_of_others(path.stem):
            raise FacekitError(
                f"there is another module called {path.stem!r} already", where=str(path), remedy="rename the file"
            )
        origin = PluginOrigin(name=path.stem, distribution=str(path), version="", target=path.stem)
        before = len(self.failures)
        self._load(origin, lambda: _import_file(path))
        if len(self.failures) > before:
            failure = self.failures[-1]
            raise FacekitError(f"the plugin file failed while {failure.stage}: {failure.error}", where=str(path))
        self._files[path.stem] = path.resolve()

    def register(self, plugin: object, *, name: str) -> LoadedPlugin:
        """Register a plugin object (tests and notebooks); undo with :meth:`unregister`."""
        origin = PluginOrigin(name=name, distribution=name, version="", target=type(plugin).__name__)
        self._manager.register(plugin, name=f"{origin.distribution}:{origin.name}")
        loaded = LoadedPlugin(origin, plugin)
        self.loaded.append(loaded)
        return loaded

    def unregister(self, loaded: LoadedPlugin) -> None:
        """Take a registered plugin out again."""
        self._manager.unregister(loaded.plugin)
        self.loaded.remove(loaded)
        self._silenced = {entry for entry in self._silenced if entry[0] != id(loaded.plugin)}

    def call(self, hook: str, **arguments: object) -> list[tuple[PluginOrigin, Any]]:
        """Call a hook on each plugin that has it, and return what each gave.

        A plugin that raises, or returns something else than the hook asks for, is quarantined for that hook: it is not
        called again, and the rest go on. Hooks that return several things give a list of them, without those that are
        of the wrong type; generators are exhausted here, inside the guard, since they may raise late.
        """
        results: list[tuple[PluginOrigin, Any]] = []
        for loaded, implementation in self.implementations(hook):
            silence = (id(loaded.plugin), hook)
            if silence in self._silenced:
                continue
            try:
                value = implementation(**arguments)
                problem = None
                if hook in _LISTS:
                    value, problem = _only_of_type(value, _LISTS[hook])
                elif hook == "facekit_plugin_info" and not isinstance(value, PluginInfo):
                    raise TypeError(f"it returned {_shown(value)}, not a PluginInfo")
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may even call sys.exit
                self._silenced.add(silence)
                self.quarantine(loaded.origin, f"calling {hook}", error)
                continue
            results.append((loaded.origin, value))
            if problem is not None:
                self.quarantine(loaded.origin, f"calling {hook}", problem)
        return results

    def implementations(self, hook: str) -> list[tuple[LoadedPlugin, Callable[..., Any]]]:
        """Return the plugins that have a hook, in the order they were loaded, each with what to call.

        It takes every argument of the hook by name, and passes on those that the plugin asks for.
        """
        found = {id(impl.plugin): impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}

        def caller(impl: pluggy.HookImpl) -> Callable[..., Any]:
            return lambda **arguments: impl.function(**{name: arguments[name] for name in impl.argnames})

        return [(loaded, caller(found[id(loaded.plugin)])) for loaded in self.loaded if id(loaded.plugin) in found]

    def quarantine(self, origin: PluginOrigin, stage: str, error: BaseException | str) -> None:
        """Record a failure, once; fatal when failures are set to be fatal."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        trace = "" if isinstance(error, str) else "".join(traceback.format_exception(error))
        if any((old.origin, old.stage, old.error) == (origin, stage, text) for old in self.failures):
            return
        self.failures.append(PluginFailure(origin, stage, text, trace))
        if self.strict:
            raise FacekitError(
                f"plugin {origin.name!r} of {origin} failed while {stage}: {text}",
                remedy="FACEKIT_STRICT_PLUGINS is set; `facekit plugins doctor` shows the traceback",
            )

    def _load(self, origin: PluginOrigin, load: Callable[[], object]) -> None:
        try:
            plugin = load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may raise anything at import, SystemExit included
            self.quarantine(origin, "importing it", error)
            return
        if self._manager.is_registered(plugin):
            self.quarantine(
                origin, "registering its hooks", f"{origin.target} is loaded already, by another entry point"
            )
            return
        try:
            self._manager.register(plugin, name=f"{origin.distribution}:{origin.name}")
            self._manager.check_pending()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pluggy raises several kinds; a plugin object's attributes may raise anything
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self.quarantine(origin, "registering its hooks", error)
            return
        self.loaded.append(LoadedPlugin(origin, plugin))

    def _installed(self) -> Iterator[tuple[PluginOrigin, Callable[[], object]]]:
        """Yield the plugins that are installed, by distribution and name.

        ``importlib.metadata.entry_points()`` would raise for all of them if one distribution had a broken file.
        """
        found: list[tuple[PluginOrigin, Callable[[], object]]] = []
        seen: set[str] = set()
        for distribution in metadata.distributions():
            if ENTRY_POINT_GROUP not in (distribution.read_text("entry_points.txt") or ""):
                continue  # before its metadata is parsed, which is slow
            name = distribution.metadata["Name"] or "unknown distribution"
            if _normal(name) in seen:  # an older copy further down the path
                continue
            seen.add(_normal(name))
            version = distribution.version or ""
            try:
                entry_points = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
            except Exception as error:
                broken = PluginOrigin(name=name, distribution=name, version=version, target="")
                self.quarantine(broken, "reading its entry points", error)
                continue
            for entry_point in entry_points:
                origin = PluginOrigin(entry_point.name, name, version, entry_point.value)
                found.append((origin, entry_point.load))
        yield from sorted(found, key=lambda entry: (entry[0].distribution, entry[0].name))


def _import_file(path: Path) -> object:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    setattr(module, _FILE_MARKER, True)
    # The file's specs name factories as "stem:function", so the module must be found again by that name.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise
    return module


def _is_module_of_others(name: str) -> bool:
    """Tell whether a plugin file of this name would stand in the way of another module."""
    if name in sys.modules:
        return not hasattr(sys.modules[name], _FILE_MARKER)
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _only_of_type(value: object, wanted: type) -> tuple[list[Any], str | None]:
    """Return the items of the wanted type, and what is wrong with the rest.

    Raises:
        TypeError: the value is no collection at all.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"it returned {_shown(value)}, not a list of {wanted.__name__}")
    items = list(value)
    wrong = [item for item in items if not isinstance(item, wanted)]
    problem = f"it returned {_shown(wrong[0])}, which is not a {wanted.__name__}" if wrong else None
    return [item for item in items if isinstance(item, wanted)], problem


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_on(value: str | None) -> bool:
    return (value or "").strip().lower() not in ("", "0", "false", "no", "off")


def _normal(name: str) -> str:
    """Return the name as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()
