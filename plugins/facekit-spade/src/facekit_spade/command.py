"""``facekit import spade`` and ``facekit import sean``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

_CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path))
_OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The safetensors file to write."
)
_UPSAMPLINGS = click.option(
    "--upsamplings",
    type=click.Choice(["5", "6"]),
    default="5",
    help="Of a generator with num_upsampling_layers `normal` or `more`, which nothing in the file tells apart; that of "
    "`most` is known by its shapes.",
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command("spade")
@_CHECKPOINT
@_OUTPUT
@_UPSAMPLINGS
@_OVERWRITE
@_JSON
def import_spade(checkpoint: Path, output: Path, upsamplings: str, overwrite: bool, as_json: bool) -> None:
    """Convert an official SPADE checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator, an image encoder or a discriminator: a torch file with tensors only, or
    safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import spade latest_net_G.pth -o generator.safetensors
    """
    _import(checkpoint, output, "SPADE", upsamplings, overwrite, as_json)


@click.command("sean")
@_CHECKPOINT
@_OUTPUT
@_UPSAMPLINGS
@_OVERWRITE
@_JSON
def import_sean(checkpoint: Path, output: Path, upsamplings: str, overwrite: bool, as_json: bool) -> None:
    """Convert an official SEAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator, which has its style encoder in it, or a discriminator: a torch file
    with tensors only, or safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import sean latest_net_G.pth -o sean.safetensors
    """
    _import(checkpoint, output, "SEAN", upsamplings, overwrite, as_json)


def _import(checkpoint: Path, output: Path, family: str, upsamplings: str, overwrite: bool, as_json: bool) -> None:
    from facekit.interfaces.imported import import_checkpoint

    from .official_layout import convert

    converting = partial(convert, family=family, upsamplings=int(upsamplings))
    imported = import_checkpoint(checkpoint, output, family=family, convert=converting, overwrite=overwrite)
    click.echo(imported.as_json() if as_json else imported.as_text())
