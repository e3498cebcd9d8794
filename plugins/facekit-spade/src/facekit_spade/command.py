"""``facekit import spade`` and ``facekit import sean``."""

from __future__ import annotations

from functools import partial

import click

from facekit.interfaces.import_command import ImportRequest, import_command

_UPSAMPLINGS = click.option(
    "--upsamplings",
    type=click.Choice(["5", "6"]),
    default="5",
    help="Of a generator with num_upsampling_layers `normal` or `more`, which nothing in the file tells apart; that of "
    "`most` is known by its shapes.",
)


@import_command("spade")
@_UPSAMPLINGS
def import_spade(request: ImportRequest, upsamplings: str) -> None:
    """Convert an official SPADE checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator, an image encoder or a discriminator: a torch file with tensors only, or
    safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import spade latest_net_G.pth -o generator.safetensors
    """
    _carry_out(request, "SPADE", upsamplings)


@import_command("sean")
@_UPSAMPLINGS
def import_sean(request: ImportRequest, upsamplings: str) -> None:
    """Convert an official SEAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator, which has its style encoder in it, or a discriminator: a torch file
    with tensors only, or safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import sean latest_net_G.pth -o sean.safetensors
    """
    _carry_out(request, "SEAN", upsamplings)


def _carry_out(request: ImportRequest, family: str, upsamplings: str) -> None:
    from .official_layout import convert

    request.carry_out(family=family, convert=partial(convert, family=family, upsamplings=int(upsamplings)))
