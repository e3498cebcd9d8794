"""``facekit import pix2pixhd``."""

from __future__ import annotations

from facekit.interfaces.importing import ImportRequest, import_command


@import_command("pix2pixhd")
def import_pix2pixhd(request: ImportRequest) -> None:
    """Convert an official pix2pixHD checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator (G1 or G2), a discriminator or a feature encoder: a torch file with
    tensors only, or safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import pix2pixhd latest_net_G.pth -o generator.safetensors
    """
    from .official_layout import FAMILY, convert

    request.carry_out(family=FAMILY, convert=convert)
