"""What this plugin offers: a command. Importing this module does not import torch."""

from __future__ import annotations

from facekit.registry import CommandSpec, PluginInfo, hookimpl


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="Writes a run's networks as ONNX files and as exported programs of torch")


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the command."""
    return [
        CommandSpec(
            name="export",
            summary="Write a run's networks as an ONNX file or an exported program of torch.",
            target="facekit_export.command:export",
        )
    ]
