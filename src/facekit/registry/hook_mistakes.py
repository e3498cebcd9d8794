"""What is wrong with the hooks of a plugin as it stands in its module: misspelt, unmarked, or none at all.

pluggy calls what is marked with ``@hookimpl`` and nothing else, and says nothing of the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pluggy

from facekit.interfaces import nearest
from facekit.registry import hooks

HOOKS = tuple(name for name, value in vars(hooks).items() if hasattr(value, "facekit_spec"))
"""The names of all hooks."""

_PREFIX = "facekit_"


def unknown_hooks(plugin: object, manager: pluggy.PluginManager) -> str | None:
    """Return what to say of hooks that are marked and that facekit does not have; None where there are none."""
    unknown = [name for name in _marked(plugin, manager) if name not in HOOKS]
    if not unknown:
        return None
    return "; ".join(f"unknown hook {name!r}; {_meant(name)}" for name in unknown)


def unmarked_hooks(plugin: object, manager: pluggy.PluginManager) -> str | None:
    """Return what to say of hooks that are not marked, or of a plugin without any; None where all is well."""
    marked = list(_marked(plugin, manager))
    unmarked = [name for name in HOOKS if name not in marked and inspect.isroutine(getattr(plugin, name, None))]
    if unmarked:
        names, them = " and ".join(unmarked), "it is" if len(unmarked) == 1 else "they are"
        return f"{names} without @hookimpl, so {them} not called: write @hookimpl (of facekit.registry) above"
    if marked:
        return None
    near = [
        f"{name} is no hook; {_meant(name)}"
        for name in dir(plugin)
        if name.startswith(_PREFIX) and inspect.isroutine(getattr(plugin, name, None))
    ]
    return f"it has none of facekit's hooks, so it offers nothing: {'; '.join(near) or _all_hooks()}"


def _marked(plugin: object, manager: pluggy.PluginManager) -> Iterator[str]:
    return (name for name in dir(plugin) if manager.parse_hookimpl_opts(plugin, name) is not None)


def _meant(name: str) -> str:
    near = nearest(name, HOOKS, most=1)
    return f"did you mean {near[0]!r}?" if near else _all_hooks()


def _all_hooks() -> str:
    return f"a plugin is a module with functions under @hookimpl that are called {', '.join(HOOKS[:-1])} or {HOOKS[-1]}"
