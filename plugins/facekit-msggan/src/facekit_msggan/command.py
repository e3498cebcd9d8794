"""``facekit import msggan``."""

from __future__ import annotations

from facekit.interfaces.importing import ImportRequest, import_command


@import_command("msggan")
def import_msggan(request: ImportRequest) -> None:
    """Convert an official MSG-ProGAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator or a discriminator of BMSG-GAN: a torch file with tensors only, or
    safetensors. Its options are deduced from its shapes. Faces come from the averaged generator, GAN_GEN_SHADOW.

    \b
    Example:
      facekit import msggan GAN_GEN_SHADOW_50.pth -o generator.safetensors
    """
    from .official_layout import FAMILY, convert

    request.carry_out(family=FAMILY, convert=convert)
