"""``facekit import maskgan``."""

from __future__ import annotations

from facekit.interfaces.importing import ImportRequest, import_command


@import_command("maskgan")
def import_maskgan(request: ImportRequest) -> None:
    """Convert MaskGAN's released generator into weights that recipes can start from.

    CHECKPOINT is the state dict of its dense mapping network: a torch file with tensors only, or safetensors. The file
    that is written holds two networks, generator and style encoder; their options are deduced from the shapes.

    \b
    Example:
      facekit import maskgan latest_net_G.pth -o maskgan.safetensors
    """
    from .official_layout import FAMILY, convert

    request.carry_out(family=FAMILY, convert=convert)
