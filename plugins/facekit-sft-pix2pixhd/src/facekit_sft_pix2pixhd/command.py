"""``facekit import maskgan``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("maskgan")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The safetensors file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_maskgan(checkpoint: Path, output: Path, overwrite: bool, as_json: bool) -> None:
    """Convert MaskGAN's released generator into weights that recipes can start from.

    CHECKPOINT is the state dict of its dense mapping network: a torch file with tensors only, or safetensors. The file
    that is written holds two networks, generator and style encoder; their options are deduced from the shapes.

    \b
    Example:
      facekit import maskgan latest_net_G.pth -o maskgan.safetensors
    """
    from facekit.interfaces.imported import import_checkpoint

    from .official_layout import FAMILY, convert

    imported = import_checkpoint(checkpoint, output, family=FAMILY, convert=convert, overwrite=overwrite)
    click.echo(imported.as_json() if as_json else imported.as_text())
