"""``facekit import stargan``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click


@click.command("stargan")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The safetensors file to write.")
@click.option(
    "--statistics",
    type=click.Choice(["image", "running"]),
    help="What a generator's norms use when it generates: the image's own mean and deviation, as the published test "
    "script, or the running ones of the file, as the published network in evaluation mode; by default the latter, "
    "where the file has them.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_stargan(
    checkpoint: Path,
    output: Path,
    statistics: Literal["image", "running"] | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Convert an official StarGAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator or a discriminator: a torch file with tensors only, or safetensors. Its
    options are deduced from its shapes.

    \b
    Example:
      facekit import stargan 200000-G.ckpt -o generator.safetensors
    """
    from facekit.interfaces.imported import import_checkpoint

    from .official_layout import FAMILY, convert

    imported = import_checkpoint(
        checkpoint, output, family=FAMILY, convert=partial(convert, statistics=statistics), overwrite=overwrite
    )
    click.echo(imported.as_json() if as_json else imported.as_text())
