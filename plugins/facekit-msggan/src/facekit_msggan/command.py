"""``facekit import msggan``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("msggan")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The safetensors file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_msggan(checkpoint: Path, output: Path, overwrite: bool, as_json: bool) -> None:
    """Convert an official MSG-ProGAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator or a discriminator of BMSG-GAN: a torch file with tensors only, or
    safetensors. Its options are deduced from its shapes. Faces come from the averaged generator, GAN_GEN_SHADOW.

    \b
    Example:
      facekit import msggan GAN_GEN_SHADOW_50.pth -o generator.safetensors
    """
    from facekit.interfaces.imported import import_checkpoint

    from .official_layout import FAMILY, convert

    imported = import_checkpoint(checkpoint, output, family=FAMILY, convert=convert, overwrite=overwrite)
    click.echo(imported.as_json() if as_json else imported.as_text())
