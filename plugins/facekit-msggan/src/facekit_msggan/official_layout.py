"""Official MSG-ProGAN state dicts (BMSG-GAN) to the weights of this plugin's networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from facekit.interfaces import FacekitError
from facekit.interfaces.importing import (
    ImportedNetwork,
    OptionValue,
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
    parts = {name.split(".")[0] for name in state}
    if not parts & {"rgb_converters", "rgb_to_features"}:
        raise unknown_checkpoint(FAMILY, state, "`rgb_converters.` (generator) or `rgb_to_features.` (discriminator)")
    generates = "rgb_converters" in parts
    network, images = ("generator", "rgb_converters") if generates else ("discriminator", "rgb_to_features")
    of = f"{FAMILY}'s {network}"
    levels = len({name.split(".")[1] for name in state if name.startswith(f"{images}.")})
    if levels > LARGEST_LEVELS:
        raise FacekitError(f"this is no checkpoint of {of}: it has {levels} layers called {images}")
    whole = "layers.0.conv_1.weight" if generates else "final_block.conv_2.weight"
    latent = shape_of(state, whole, dimensions=4, of=of)[0]
    if latent % 8:
        raise FacekitError(
            f"the latent vector of this checkpoint has {latent} numbers; that of {of} has a multiple of 8"
        )
    layers: dict[str, str] = {}
    for index in range(levels):
        layers[f"layers.{index}.conv_1"] = f"blocks.{index}.first"
        layers[f"layers.{index}.conv_2"] = f"blocks.{index}.second"
        layers[f"{images}.{index}"] = f"images.{index if generates else index + 1}"
    options: dict[str, OptionValue] = {"latent": latent}
    if generates:
        # The published generator takes latent vectors as they are; the published training scales them before.
        options["sphere"] = False
    else:
        # The published code reads the coarsest image by a layer of another name.
        layers["final_converter"] = "images.0"
        layers |= {
            f"final_block.conv_{index + 1}": f"final.{own}" for index, own in enumerate(("first", "second", "third"))
        }
    names = {f"{official}.{each}": f"{own}.{each}" for official, own in layers.items() for each in ("weight", "bias")}
    size = 2 ** (levels + (1 if generates else 2))
    made = MsgProGanGenerator if generates else MsgProGanDiscriminator
    tensors = renamed(state, names, of=of)
    component = "msggan/msg_progan"
    return (
        fitted_network(network, component, options, tensors, lambda: made(latent, size), dimensions={"size": size}),
    )
