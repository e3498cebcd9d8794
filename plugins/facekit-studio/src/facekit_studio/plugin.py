"""What this plugin offers: commands, and edit quality in reports and comparisons. Importing it imports no torch."""

from __future__ import annotations

from pathlib import Path

from facekit.interfaces import FurtherResults
from facekit.registry import CommandSpec, PluginInfo, hookimpl


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(summary="Editing photos with trained runs: scripts, tuning to a photo, a page in the browser.")


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the commands."""
    return [
        CommandSpec(
            name="edit",
            summary="Edit the faces of photos by a script.",
            target="facekit_studio.commands.edit:edit",
        ),
        CommandSpec(
            name="studio",
            summary="Edit faces by painting, in the browser.",
            target="facekit_studio.commands.studio:studio",
        ),
        CommandSpec(
            name="evaluate-edits",
            summary="Measure what edits of a run show.",
            target="facekit_studio.commands.evaluate_edits:evaluate_edits",
        ),
    ]


@hookimpl
def facekit_further_results(run: Path) -> list[FurtherResults]:
    """Return what ``facekit evaluate-edits`` measured of a run."""
    from facekit_studio.kept_edits import further_results

    return further_results(run)
