"""The hooks a plugin can implement: all of them, on one page.

A plugin is a module (or any object) named by an entry point of the group ``facekit.plugins``. It implements the
hooks it needs::

    from facekit.registry import ComponentSpec, hookimpl

    @hookimpl
    def facekit_components():
        return [ComponentSpec(kind="loss", id="mine/l2", ...)]
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from facekit.interfaces import FurtherResults, LabelMap, RunEvent
from facekit.registry.spec import CommandSpec, ComponentSpec, PluginInfo

hookspec = pluggy.HookspecMarker("facekit")
hookimpl = pluggy.HookimplMarker("facekit")


@hookspec
def facekit_plugin_info() -> PluginInfo:  # type: ignore[empty-body]
    """Return a line about the plugin."""


@hookspec
def facekit_components() -> Iterable[ComponentSpec]:  # type: ignore[empty-body]
    """Return the components the plugin offers. Must not import torch."""


@hookspec
def facekit_label_maps() -> Iterable[LabelMap]:  # type: ignore[empty-body]
    """Return the label maps the plugin offers. Must not import torch."""


@hookspec
def facekit_recipes() -> Iterable[Path]:  # type: ignore[empty-body]
    """Return recipe files, or folders of them, that ``facekit recipes ls`` lists."""


@hookspec
def facekit_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Return commands to add to the command line."""


@hookspec
def facekit_further_results(run: Path) -> Iterable[FurtherResults]:  # type: ignore[empty-body]
    """Return what the plugin measured of a run and keeps in its folder, for reports and comparisons.

    Must not import torch.
    """


@hookspec
def facekit_run_event(event: RunEvent) -> None:
    """Watch a run. Events are read-only; an exception here is reported once and does not stop the run.

    It is called in the process that trains, and the run waits for it.
    """
