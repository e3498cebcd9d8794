"""What this plugin offers to facekit. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from facekit.interfaces import (
    ATTRIBUTES,
    DISCRIMINATOR_CLASS_LOGITS,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    IMAGE,
    Options,
    PortContext,
    Ports,
)
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

PAPER = (
    "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation "
    "(Choi et al., CVPR 2018)"
)

DOWNSAMPLINGS = 2
"""How often the generator halves height and width, as published."""


class GeneratorOptions(Options):
    """Options of the generator."""

    filters: int = Field(64, ge=1, le=4096)
    """Channels at full resolution; each of the two downsamplings doubles them."""
    blocks: int = Field(6, ge=1, le=256)
    """Residual blocks at the lowest resolution."""
    statistics: Literal["image", "running"] = "image"
    """Mean and deviation by which instance norms normalise in evaluation mode: the ``image``'s own, as the published
    test script, or ``running`` averages over training, as the published network does in evaluation mode."""


class DiscriminatorOptions(Options):
    """Options of the discriminator."""

    filters: int = Field(64, ge=1, le=4096)
    """Channels after the first layer; every further one doubles them."""
    layers: int = Field(6, ge=1, le=8)
    """Strided layers. The head that classifies covers what they leave of the picture: 2x2 of 128x128 after six."""


def generator_ports(options: GeneratorOptions, context: PortContext) -> Ports:
    """Needs a photo and attributes, and no mask; gives the changed photo."""
    step = 2**DOWNSAMPLINGS
    return Ports(needs=(IMAGE, ATTRIBUTES), gives=(GENERATED,), smallest_size=2 * step, size_multiple=step)


def discriminator_ports(options: DiscriminatorOptions, context: PortContext) -> Ports:
    """Needs a picture alone, gives logits of patches and of attributes."""
    step = 2**options.layers
    return Ports(
        needs=(IMAGE,), gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_CLASS_LOGITS), smallest_size=step, size_multiple=step
    )


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="StarGAN: changes the attributes of a photo, without a mask.")


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    """Offer the generator and the discriminator."""
    return (
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="stargan/stargan",
            summary="StarGAN: changes the attributes of a photo; takes no mask.",
            options=GeneratorOptions,
            factory="facekit_stargan.components:build_generator",
            ports=generator_ports,
            example={"filters": 64, "blocks": 6},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="stargan/stargan_patch",
            summary="PatchGAN with a head that classifies attributes, on the picture alone.",
            options=DiscriminatorOptions,
            factory="facekit_stargan.components:build_discriminator",
            ports=discriminator_ports,
            example={"filters": 64, "layers": 6},
            paper=PAPER,
        ),
    )


@hookimpl
def facekit_commands() -> Iterable[CommandSpec]:
    """Offer the import of official checkpoints."""
    return (
        CommandSpec(
            name="import stargan",
            summary="Convert an official StarGAN checkpoint into weights that recipes can start from.",
            target="facekit_stargan.command:import_stargan",
        ),
    )
