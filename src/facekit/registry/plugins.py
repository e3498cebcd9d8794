"""Finding and loading plugins, each on its own, so that a broken one stops nothing but itself.

pluggy's own ``load_setuptools_entrypoints`` stops at the first entry point that raises and skips a second plugin of
the same name without a word. This loop goes through the entry points itself, records every failure, and goes on.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from inspect import isroutine
from pathlib import Path
from typing import Any, TextIO, cast

import pluggy

from facekit.interfaces import FacekitError, FurtherResults, LabelMap, nearest
from facekit.registry import hooks
from facekit.registry.decorators import FunctionComponent
from facekit.registry.discovery import READING_ENTRY_POINTS, PluginOrigin, Switches, doctor_command, find_installed
from facekit.registry.spec import CommandSpec, ComponentSpec, PluginInfo

_LISTS: dict[str, type] = {
    "facekit_components": ComponentSpec,
    "facekit_label_maps": LabelMap,
    "facekit_recipes": Path,
    "facekit_commands": CommandSpec,
    "facekit_further_results": FurtherResults,
}
"""What the items are of the hooks that return several."""

_HOOKS = tuple(name for name, value in vars(hooks).items() if hasattr(value, "facekit_spec"))
_ALL_HOOKS = (
    f"a plugin is a module with functions under @hookimpl that are called {', '.join(_HOOKS[:-1])} or {_HOOKS[-1]}"
)

IMPORTING, REGISTERING = "importing it", "registering its hooks"
"""What a plugin did when it failed, before any of its hooks is called."""

_MOST_PRINTED = 4000
"""Characters kept of what a plugin prints."""

_FILE_MARKER = "__facekit_plugin_file__"


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

    What a plugin prints to stdout while it is loaded or asked goes to stderr: stdout belongs to results.

    Args:
        environment: where ``FACEKIT_NO_PLUGINS`` (load none), ``FACEKIT_PLUGINS`` (load only these distributions or
            entry points, comma-separated; all but those with a minus before them) and ``FACEKIT_STRICT_PLUGINS`` (any
            failure is fatal) are read from.

    Raises:
        FacekitError: a plugin failed and failures are fatal.

    Attributes:
        loaded: the plugins that work, in the order they were loaded.
        failures: what did not.
        skipped: the plugins that the switches keep from being loaded.
        printed: what plugins printed to stdout.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.switches = Switches.read(environment)
        self.strict = self.switches.strict
        self.loaded: list[LoadedPlugin] = []
        self.failures: list[PluginFailure] = []
        self.skipped: list[PluginOrigin] = []
        self.printed: dict[PluginOrigin, str] = {}
        self._manager = pluggy.PluginManager("facekit")
        self._manager.add_hookspecs(hooks)
        self._silenced: set[tuple[int, str]] = set()
        self._files: dict[str, Path] = {}

    def load_installed(self) -> None:
        """Load every plugin that an installed distribution declares.

        Raises:
            FacekitError: ``FACEKIT_PLUGINS`` names something that is not installed.
        """
        installed = find_installed()
        self.switches.check(installed.names())
        for broken in installed.unusable:
            if self.switches.load(broken.origin):
                self.quarantine(broken.origin, READING_ENTRY_POINTS, broken.error)
        for plugin in installed.plugins:
            if self.switches.load(plugin.origin):
                self.load(plugin.origin, plugin.entry_point.load)
            else:
                self.skipped.append(plugin.origin)

    def load(self, origin: PluginOrigin, load: Callable[[], object]) -> None:
        """Load one plugin, which ``load`` imports and returns.

        When it fails, the failure is recorded and nothing is raised, unless failures are fatal.
        """
        name, stage, plugin = f"{origin.distribution}:{origin.name}", IMPORTING, None
        problem = forgotten = None
        try:
            with self.stdout_kept(origin):
                plugin = load()
                stage = REGISTERING
                if self._manager.has_plugin(name):
                    problem = "its distribution declares two entry points of this name; the first one is used"
                for whose in (other.origin for other in self.loaded if other.plugin is plugin):
                    problem = f"{whose.target} is loaded already, by the entry point {whose.name!r} of {whose}"
                if problem is None:
                    problem, forgotten = _hook_mistakes(plugin, self._manager)
                if problem is None:
                    self._manager.register(plugin, name=name)
                    self._manager.check_pending()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may raise anything at import, SystemExit included
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self.quarantine(origin, stage, error)
            return
        if problem is not None:
            self.quarantine(origin, REGISTERING, problem)
            return
        self.loaded.append(LoadedPlugin(origin, plugin))
        if forgotten is not None:  # its other hooks work
            self.quarantine(origin, REGISTERING, forgotten)

    def load_file(self, path: Path) -> None:
        """Load a plugin that is one file; a second time, nothing happens.

        Raises:
            FacekitError: the file does not exist, or it fails: a file that was asked for by name is needed.
        """
        if not path.is_file():
            raise FacekitError("there is no such plugin file", where=str(path), remedy="give the path of a Python file")
        if self._files.get(path.stem) == path.resolve():
            return
        if path.stem in self._files or _is_module_of_others(path):
            raise FacekitError(
                f"there is another module called {path.stem!r} already", where=str(path), remedy="rename the file"
            )
        origin = PluginOrigin.of_file(path.absolute())
        before = len(self.failures)
        self.load(origin, lambda: _import_file(path))
        if len(self.failures) > before:
            failure = self.failures[-1]
            raise FacekitError(
                f"the plugin file failed while {failure.stage}: {failure.error}",
                where=str(path),
                remedy=f"`{doctor_command([origin])}` says more",
            )
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
        wanted = _LISTS.get(hook)
        for loaded, implementation in self.implementations(hook):
            silence = (id(loaded.plugin), hook)
            if silence in self._silenced:
                continue
            wrong: list[Any] = []
            try:
                with self.stdout_kept(loaded.origin):
                    value = implementation(**arguments)
                    if wanted is not None:
                        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
                            raise TypeError(f"it returned {_shown(value)}, not a list of {wanted.__name__}")
                        items = list(value)
                        value = [item for item in items if isinstance(item, wanted)]
                        wrong = [item for item in items if not isinstance(item, wanted)]
                if hook == "facekit_plugin_info" and not isinstance(value, PluginInfo):
                    raise TypeError(f"it returned {_shown(value)}, not a PluginInfo")
                said = f"it returned {_shown(wrong[0])}, which is not a {wanted.__name__}" if wrong and wanted else ""
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may even call sys.exit
                self._silenced.add(silence)
                self.quarantine(loaded.origin, f"calling {hook}", error)
                continue
            results.append((loaded.origin, value))
            if said:
                self.quarantine(loaded.origin, f"calling {hook}", said)
        return results

    def implementations(self, hook: str) -> list[tuple[LoadedPlugin, Callable[..., Any]]]:
        """Return the plugins that have a hook, in the order they were loaded, each with what to call.

        It takes every argument of the hook by name, and passes on those that the plugin asks for.
        """
        found = {id(impl.plugin): impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}

        def call(impl: pluggy.HookImpl, **arguments: object) -> Any:
            return impl.function(**{name: arguments[name] for name in impl.argnames})

        return [(one, partial(call, found[id(one.plugin)])) for one in self.loaded if id(one.plugin) in found]

    def quarantine(self, origin: PluginOrigin, stage: str, error: BaseException | str) -> None:
        """Record a failure, once; fatal when failures are set to be fatal."""
        text = error if isinstance(error, str) else describe_error(error)
        trace = "" if isinstance(error, str) else "".join(traceback.format_exception(error))
        if any((old.origin, old.stage, old.error) == (origin, stage, text) for old in self.failures):
            return
        self.failures.append(PluginFailure(origin, stage, text, trace))
        if self.strict:
            raise FacekitError(
                f"plugin {origin.name!r} of {origin} failed while {stage}: {text}",
                remedy=f"FACEKIT_STRICT_PLUGINS is set; `{doctor_command([origin])}` shows the traceback",
            )

    @contextmanager
    def stdout_kept(self, origin: PluginOrigin) -> Iterator[None]:
        """Send what is printed to stdout to stderr, and remember what a plugin printed: around all code of plugins."""
        aside = _Aside()
        try:
            with redirect_stdout(cast(TextIO, aside)):
                yield
        finally:
            aside.over = True
            if aside.text:
                self.printed[origin] = (self.printed.get(origin, "") + aside.text)[:_MOST_PRINTED]


class _Aside:
    """Stands for stdout while a plugin is loaded or asked: stderr, with a memory.

    A plugin that keeps it writes to stdout again once that is ``over``.
    """

    text = ""
    over = False

    def write(self, text: str) -> int:
        if not self.over and len(self.text) < _MOST_PRINTED:
            self.text += text
        return (sys.stdout if self.over else sys.stderr).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout if self.over else sys.stderr, name)


def describe_error(error: BaseException) -> str:
    """Return an exception's type and message; even its message may be the plugin's own code."""
    try:
        message = str(error)
    except BaseException:  # it may even call sys.exit
        message = "(its message cannot be shown: that fails as well)"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _hook_mistakes(plugin: object, manager: pluggy.PluginManager) -> tuple[str | None, str | None]:
    """Return what to say of hooks that facekit does not have; and of unmarked ones, or of a plugin without any.

    pluggy calls what is marked with ``@hookimpl`` and nothing else, and says nothing of the rest.
    """

    def meant(name: str) -> str:
        near = nearest(name, _HOOKS, most=1)
        return f"did you mean {near[0]!r}?" if near else _ALL_HOOKS

    marked = [name for name in dir(plugin) if manager.parse_hookimpl_opts(plugin, name) is not None]
    unknown = "; ".join(f"unknown hook {name!r}; {meant(name)}" for name in marked if name not in _HOOKS)
    if unknown:
        return unknown, None
    unmarked = [name for name in _HOOKS if name not in marked and isroutine(getattr(plugin, name, None))]
    if unmarked:
        them = "it is" if len(unmarked) == 1 else "they are"
        without = f"{' and '.join(unmarked)} without @hookimpl, so {them} not called"
        return None, f"{without}: write @hookimpl (of facekit.registry) above"
    if marked:
        return None, None
    own = {name: getattr(plugin, name, None) for name in dir(plugin)}
    decorated = [name for name, value in own.items() if isinstance(value, FunctionComponent)]
    if decorated:
        are = f"{' and '.join(decorated)} {'is' if len(decorated) == 1 else 'are'} decorated and not offered"
        return None, f"{are}: write facekit_components = components({', '.join(decorated)})"
    near = [name for name, value in own.items() if name.startswith("facekit_") and isroutine(value)]
    said = "; ".join(f"{name} is no hook; {meant(name)}" for name in near)
    return None, f"it has none of facekit's hooks, so it offers nothing: {said or _ALL_HOOKS}"


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


def _is_module_of_others(path: Path) -> bool:
    """Tell whether a plugin file would stand in the way of another module of its name."""
    if path.stem in sys.modules:
        return not hasattr(sys.modules[path.stem], _FILE_MARKER)
    try:
        found = find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    # `python -m facekit` in the file's own folder finds the file itself.
    return found is not None and (found.origin is None or Path(found.origin).resolve() != path.resolve())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
