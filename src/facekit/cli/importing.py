"""``facekit import``: reading other projects' checkpoints. Every command in this group comes from a plugin."""

from __future__ import annotations

from facekit.cli.plugin_commands import PluginGroup

import_group = PluginGroup(
    prefix="import",
    name="import",
    help="""Read other projects' checkpoints into safetensors files that recipes can start from.

    \b
    Example:
      facekit import pix2pixhd latest_net_G.pth -o generator.safetensors
      facekit run recipe.yaml --set 'train.initialise=[{part: generator, weights: generator.safetensors}]'
    """,
    short_help="Read other projects' checkpoints.",
)
