"""``facekit import spade`` and ``facekit import sean``."""

from __future__ import annotations

from functools import partial

import click

from facekit.interfaces.importing import ImportRequest, import_command


def _command(family: str, networks: str) -> click.Command:
    @import_command(family.lower())
    @click.option(
        "--upsamplings",
        type=click.Choice(["5", "6"]),
        default="5",
        help="Of a generator with num_upsampling_layers `normal` or `more`, which nothing in the file tells apart; "
        "that of `most` is known by its shapes.",
    )
    def command(request: ImportRequest, upsamplings: str) -> None:
        from .official_layout import convert

        request.carry_out(family=family, convert=partial(convert, family=family, upsamplings=int(upsamplings)))

    command.help = f"""Convert an official {family} checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of {networks}: a torch file with tensors only, or safetensors. Its options are deduced
    from its shapes.

    \b
    Example:
      facekit import {family.lower()} latest_net_G.pth -o {family.lower()}.safetensors
    """
    return command


import_spade = _command("SPADE", "a generator, an image encoder or a discriminator")
import_sean = _command("SEAN", "a generator, which has its style encoder in it, or a discriminator")
