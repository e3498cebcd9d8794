"""Finding and loading plugins, each on its own, so that a broken one stops nothing but itself.

pluggy's own ``load_setuptools_entrypoints`` stops at the first entry point that raises and skips a second plugin of
the same name without a word. This loop goes through the entry points itself, records every failure, and goes on.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pluggy

from facekit.interfaces import FacekitError
from facekit.registry import hooks

ENTRY_POINT_GROUP = "facekit.plugins"


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
        self._only = {name.strip() for name in environment.get("FACEKIT_PLUGINS", "").split(",") if name.strip()}
        self._none = _is_on(environment.get("FACEKIT_NO_PLUGINS"))

    def load_installed(self) -> None:
        """Load every plugin that an installed distribution declares."""
        for entry_point in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=_order):
            distribution = entry_point.dist
            origin = PluginOrigin(
                name=entry_point.name,
                distribution=distribution.name if distribution else "unknown distribution",
                version=distribution.version if distribution else "",
                target=entry_point.value,
            )
            if self._none or (self._only and not self._only & {origin.name, origin.distribution}):
                self.skipped.append(origin)
                continue
            self._load(origin, entry_point.load)

    def load_file(self, path: Path) -> None:
        """Load a plugin that is one file.

        Raises:
            FacekitError: the file does not exist, or it fails: a file that was asked for by name is needed.
        """
        if not path.is_file():
            raise FacekitError("there is no such plugin file", where=str(path), remedy="give the path of a Python file")
        origin = PluginOrigin(name=path.stem, distribution=str(path), version="", target=path.stem)
        before = len(self.failures)
        self._load(origin, lambda: _import_file(path))
        if len(self.failures) > before:
            failure = self.failures[-1]
            raise FacekitError(f"the plugin file failed while {failure.stage}: {failure.error}", where=str(path))

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

    def call(self, hook: str, **arguments: object) -> list[tuple[PluginOrigin, Any]]:
        """Call a hook on each plugin that has it; one that raises is quarantined for that hook and the rest go on.

        Hooks that return iterables are exhausted here, inside the guard: a generator may raise late.
        """
        results: list[tuple[PluginOrigin, Any]] = []
        implementations = {id(impl.plugin): impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        for loaded in self.loaded:
            impl = implementations.get(id(loaded.plugin))
            if impl is None:
                continue
            try:
                wanted = {name: arguments[name] for name in impl.argnames}
                value = impl.function(**wanted)
                results.append((loaded.origin, list(value) if isinstance(value, Iterable) else value))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may even call sys.exit
                self.quarantine(loaded.origin, f"calling {hook}", error)
        return results

    def quarantine(self, origin: PluginOrigin, stage: str, error: BaseException | str) -> None:
        """Record a failure; fatal when failures are set to be fatal."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        trace = "" if isinstance(error, str) else "".join(traceback.format_exception(error))
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
        try:
            if self._manager.register(plugin, name=f"{origin.distribution}:{origin.name}") is None:
                raise ValueError("its name is blocked")
            self._manager.check_pending()
        except Exception as error:  # pluggy raises several kinds for a wrong hook signature or a second registration
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self.quarantine(origin, "registering its hooks", error)
            return
        self.loaded.append(LoadedPlugin(origin, plugin))


def _import_file(path: Path) -> object:
    import sys

    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    # The file's specs name factories as "stem:function", so the module must be found again by that name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _is_on(value: str | None) -> bool:
    return (value or "").strip().lower() not in ("", "0", "false", "no", "off")


def _order(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    return (entry_point.dist.name if entry_point.dist else "", entry_point.name)
