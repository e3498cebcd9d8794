"""What this plugin offers. Imports neither torch nor TensorBoard: that waits until a run starts."""

from __future__ import annotations

from facekit.interfaces import RunEvent
from facekit.registry import CommandSpec, PluginInfo, hookimpl


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="Watches runs for TensorBoard, and shows them in it")


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the command that shows runs."""
    return [
        CommandSpec(
            name="tensorboard",
            summary="Show runs in TensorBoard, or export their curves as CSV.",
            target="facekit_tensorboard.command:tensorboard",
        )
    ]


@hookimpl
def facekit_run_event(event: RunEvent) -> None:
    """Write down what happened."""
    from facekit_tensorboard.watcher import WATCHER

    WATCHER.see(event)
