"""Official MSG-ProGAN state dicts (BMSG-GAN) to the weights of this plugin's networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from facekit.interfaces import FacekitError
from facekit.interfaces.imported import (
    ImportedNetwork,
    fitted_network,
    renamed,
    shape_of,
    unknown_checkpoint,
    unwrapped,
)

from .networks import MsgProGanDiscriminator, MsgProGanGenerator

FAMILY = "MSG-ProGAN"
LARGEST_LEVELS = 16
"""Images of 4 to 131,072 pixels: a file with more names them to make the reader allocate without bound."""


def convert(state: Mapping[str, Tensor]) -> tuple[ImportedNetwork]:
    """Return the network that an official state dict belongs to.

    Args:
        state: ``GAN_GEN_n.pth``, ``GAN_GEN_SHADOW_n.pth`` (the averaged generator) or ``GAN_DIS_n.pth``. Names may hold
            the ``module.`` of parallel training before them or inside them.

    Raises:
        FacekitError: the names or the shapes are of neither network, naming the first that is not.
    """
    state = unwrapped(state)
    if any(name.startswith("rgb_converters.") for name in state):
        return (_generator(state),)
    if any(name.startswith("rgb_to_features.") for name in state):
        return (_discriminator(state),)
    raise unknown_checkpoint(FAMILY, state, "`rgb_converters.` (generator) or `rgb_to_features.` (discriminator)")


def _generator(state: Mapping[str, Tensor]) -> ImportedNetwork:
    of = f"{FAMILY}'s generator"
    levels = _count(state, "rgb_converters", of)
    latent = shape_of(state, "layers.0.conv_1.weight", dimensions=4, of=of)[0]
    names: dict[str, str] = {}
    for index in range(levels):
        names |= _pair(f"layers.{index}.conv_1", f"blocks.{index}.first")
        names |= _pair(f"layers.{index}.conv_2", f"blocks.{index}.second")
        names |= _pair(f"rgb_converters.{index}", f"images.{index}")
    _check_latent(latent, of)
    size = 2 ** (levels + 1)
    # The published generator takes latent vectors as they are; the published training scales them before.
    options = {"latent": latent, "sphere": False}
    return fitted_network(
        "generator",
        "msggan/msg_progan",
        options,
        renamed(state, names, of=of),
        lambda: MsgProGanGenerator(latent, size),
        dimensions={"size": size},
    )


def _discriminator(state: Mapping[str, Tensor]) -> ImportedNetwork:
    of = f"{FAMILY}'s discriminator"
    levels = _count(state, "rgb_to_features", of)
    latent = shape_of(state, "final_block.conv_2.weight", dimensions=4, of=of)[0]
    names = _pair("final_converter", "images.0")
    for own, index in (("first", 1), ("second", 2), ("third", 3)):
        names |= _pair(f"final_block.conv_{index}", f"final.{own}")
    for index in range(levels):
        names |= _pair(f"layers.{index}.conv_1", f"blocks.{index}.first")
        names |= _pair(f"layers.{index}.conv_2", f"blocks.{index}.second")
        # The published code reads the coarsest image by a layer of another name.
        names |= _pair(f"rgb_to_features.{index}", f"images.{index + 1}")
    _check_latent(latent, of)
    size = 2 ** (levels + 2)
    options = {"latent": latent}
    return fitted_network(
        "discriminator",
        "msggan/msg_progan",
        options,
        renamed(state, names, of=of),
        lambda: MsgProGanDiscriminator(latent, size),
        dimensions={"size": size},
    )


def _pair(official: str, own: str) -> dict[str, str]:
    return {f"{official}.{each}": f"{own}.{each}" for each in ("weight", "bias")}


def _count(state: Mapping[str, Tensor], part: str, of: str) -> int:
    indices = {name.split(".")[1] for name in state if name.startswith(f"{part}.")}
    if len(indices) > LARGEST_LEVELS:
        raise FacekitError(f"this is no checkpoint of {of}: it has {len(indices)} layers called {part}")
    return len(indices)


def _check_latent(latent: int, of: str) -> None:
    if latent % 8:
        raise FacekitError(
            f"the latent vector of this checkpoint has {latent} numbers; that of {of} has a multiple of 8"
        )
