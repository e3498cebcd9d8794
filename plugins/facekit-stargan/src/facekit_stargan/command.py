"""``facekit import stargan``."""

from __future__ import annotations

from functools import partial
from typing import Literal

import click

from facekit.interfaces.importing import ImportRequest, import_command


@import_command("stargan")
@click.option(
    "--statistics",
    type=click.Choice(["image", "running"]),
    help="What a generator's norms use when it generates: the image's own mean and deviation, as the published test "
    "script, or the running ones of the file, as the published network in evaluation mode; by default the latter, "
    "where the file has them.",
)
def import_stargan(request: ImportRequest, statistics: Literal["image", "running"] | None) -> None:
    """Convert an official StarGAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator or a discriminator: a torch file with tensors only, or safetensors. Its
    options are deduced from its shapes.

    \b
    Example:
      facekit import stargan 200000-G.ckpt -o generator.safetensors
    """
    from .official_layout import FAMILY, convert

    request.carry_out(family=FAMILY, convert=partial(convert, statistics=statistics))
