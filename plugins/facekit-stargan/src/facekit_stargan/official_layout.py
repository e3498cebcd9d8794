"""Official StarGAN state dicts (``200000-G.ckpt``, ``200000-D.ckpt``) to the weights of this plugin's networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from facekit.interfaces import FacekitError
from facekit.interfaces.importing import (
    NORM_BUFFERS,
    ImportedNetwork,
    OptionValue,
    fitted_network,
    renamed,
    shape_of,
    unknown_checkpoint,
    unwrapped,
)

from .networks import PHOTO_CHANNELS, AttributeDiscriminator, AttributeGenerator
from .plugin import DOWNSAMPLINGS

FAMILY = "StarGAN"
LARGEST_LAYERS = 8
"""As many strided layers as the discriminator's options allow."""

Statistics = Literal["image", "running"]


def convert(state: Mapping[str, Tensor], *, statistics: Statistics | None = None) -> tuple[ImportedNetwork]:
    """Return the network that an official state dict belongs to.

    Args:
        state: the state dict of generator or discriminator. Names may begin with ``module.``.
        statistics: what the generator's norms use in evaluation mode; by default ``running`` where the file has running
            statistics, which is what the published network does.

    Raises:
        FacekitError: the names or the shapes are of neither network, naming the first that is not; or running
            statistics are asked for and the file has none.
    """
    state = unwrapped(state)
    if any(name.startswith("conv1.") for name in state):
        return (_discriminator(state),)
    if any(name.startswith("main.") for name in state):
        return (_generator(state, statistics),)
    raise unknown_checkpoint(FAMILY, state, "`main.` (generator) or `conv1.` (discriminator)")


def _generator(state: Mapping[str, Tensor], statistics: Statistics | None) -> ImportedNetwork:
    of = f"{FAMILY}'s generator"
    # The published sequence counts all layers: convolution, norm and ReLU for each step, and a block as one.
    blocks = len({name.split(".")[1] for name in state if name.split(".")[2:3] == ["main"]})
    if not blocks:
        raise FacekitError(f"this is no checkpoint of {of}: it has no residual blocks (`main.9.main.0.weight`)")
    if statistics is None:
        statistics = "running" if any(name.endswith(".running_mean") for name in state) else "image"
    running = statistics == "running"
    names = _layer("main.0", "main.1", "stem", running)
    first_block = 3 * (DOWNSAMPLINGS + 1)
    for level in range(DOWNSAMPLINGS):
        down, up = 3 * (level + 1), first_block + blocks + 3 * level
        names |= _layer(f"main.{down}", f"main.{down + 1}", f"downs.{level}", running)
        names |= _layer(f"main.{up}", f"main.{up + 1}", f"ups.{level}", running)
    for index in range(blocks):
        block = f"main.{first_block + index}.main"
        names |= _layer(f"{block}.0", f"{block}.1", f"blocks.{index}.first", running)
        names |= _layer(f"{block}.3", f"{block}.4", f"blocks.{index}.second", running)
    names[f"main.{first_block + blocks + 3 * DOWNSAMPLINGS}.weight"] = "head.weight"

    moved = renamed(state, names, of=of, left_out=NORM_BUFFERS)
    filters, inputs = shape_of(state, "main.0.weight", dimensions=4, of=of)[:2]
    attributes = inputs - PHOTO_CHANNELS
    if attributes < 1:
        raise FacekitError(f"this is no checkpoint of {of}: it takes {inputs} channels, a photo and no attributes")
    options: dict[str, OptionValue] = {"filters": filters, "blocks": blocks, "statistics": statistics}
    return fitted_network(
        "generator",
        "stargan/stargan",
        options,
        moved,
        lambda: AttributeGenerator(attributes=attributes, filters=filters, blocks=blocks, running=running),
        dimensions={"attributes": attributes},
    )


def _discriminator(state: Mapping[str, Tensor]) -> ImportedNetwork:
    of = f"{FAMILY}'s discriminator"
    layers = sum(name.startswith("main.") and name.endswith(".weight") for name in state)
    if layers > LARGEST_LAYERS:
        raise FacekitError(f"this is no checkpoint of {of}: it has {layers} strided layers, more than {LARGEST_LAYERS}")
    names = {"conv1.weight": "source.weight", "conv2.weight": "classify.weight"}
    for index in range(layers):
        for each in ("weight", "bias"):
            names[f"main.{2 * index}.{each}"] = f"layers.{index}.{each}"
    moved = renamed(state, names, of=of)
    filters = shape_of(state, "main.0.weight", dimensions=4, of=of)[0]
    attributes, _, left, _ = shape_of(state, "conv2.weight", dimensions=4, of=of)
    size = left * 2**layers
    options: dict[str, OptionValue] = {"filters": filters, "layers": layers}
    return fitted_network(
        "discriminator",
        "stargan/stargan_patch",
        options,
        moved,
        lambda: AttributeDiscriminator(attributes=attributes, size=size, filters=filters, layers=layers),
        dimensions={"attributes": attributes, "size": size},
    )


def _layer(convolution: str, norm: str, own: str, running: bool) -> dict[str, str]:
    fields = ("weight", "bias", "running_mean", "running_var") if running else ("weight", "bias")
    names = {f"{norm}.{each}": f"{own}.norm.{each}" for each in fields}
    return names | {f"{convolution}.weight": f"{own}.convolution.weight"}
