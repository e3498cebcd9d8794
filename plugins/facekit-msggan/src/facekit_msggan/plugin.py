"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from pydantic import Field

from facekit.interfaces import (
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    GENERATED_PYRAMID,
    FacekitError,
    Options,
    Port,
    PortContext,
    Ports,
)
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

SMALLEST_SIZE = 8
"""Images of 4 pixels would have no other size beside them."""

LATENT = "latent"
"""The name of the generators' port for the latent vector."""

NOISE_PLANES = "noise_planes"
"""The name of MSG-StyleGAN's port for the noise of its layers: all planes in one row, coarsest first."""

_PAPER = "Karnewar and Wang, MSG-GAN: Multi-Scale Gradients for Generative Adversarial Networks, CVPR 2020"


class MsgProGanOptions(Options):
    """Options of the discriminator, and of the generator beside it."""

    latent: int = Field(512, ge=8, multiple_of=8)
    """Numbers of the latent vector, and channels from 4 to 32 pixels; finer sizes have half of it each time."""


class MsgProGanGeneratorOptions(MsgProGanOptions):
    """Options of the generator."""

    sphere: bool = True
    """Scale each latent vector to the length of the root of ``latent``, as the published training code does before it
    calls its generator."""


class MsgStyleGanOptions(Options):
    """Options of MSG-StyleGAN's discriminator, and of the generator beside it."""

    base: int = Field(8192, ge=8, multiple_of=8)
    """Channels at a size of S pixels are twice this over S, unless they are more than ``most``."""
    most: int = Field(512, ge=2, multiple_of=2)
    """Most channels at any size."""


class MsgStyleGanGeneratorOptions(MsgStyleGanOptions):
    """Options of MSG-StyleGAN's generator."""

    latent: int = Field(512, ge=1)
    """Numbers of the latent vector, and of the style that the mapping network makes of it."""
    mapping_layers: int = Field(8, ge=1, le=16)
    """Fully connected layers of the mapping network."""
    truncation: float = Field(0.7, ge=0, le=1)
    """How far from the mean style faces may be when they are generated: 1 is everywhere, 0 is one mean face."""
    truncated_layers: int = Field(8, ge=0)
    """Layers, from the coarsest on, whose styles are drawn to the mean."""


def _ports(context: PortContext, *noise: Port) -> Ports:
    """Return the ports of a generator, which needs noise, or of a discriminator, which needs images."""
    if context.size & (context.size - 1):
        raise FacekitError(
            f"MSG-GAN doubles the size from 4 pixels on, so the side is a power of two, not {context.size}",
            where="",
            remedy="set data.size to 32, 64, 128, 256, 512 or 1024",
        )
    # Linear to the end: there is no bound on what a generator gives.
    images = (Port(GENERATED.name, GENERATED.shape), GENERATED_PYRAMID)
    needs, gives = (noise, images) if noise else (images, (DISCRIMINATOR_OUTPUT,))
    return Ports(needs=needs, gives=gives, smallest_size=SMALLEST_SIZE)


def _generator_ports(options: MsgProGanGeneratorOptions, context: PortContext) -> Ports:
    return _ports(context, Port(LATENT, ("batch", options.latent), dtype="noise"))


def _style_generator_ports(options: MsgStyleGanGeneratorOptions, context: PortContext) -> Ports:
    # Two layers a size, from 4 pixels on: 2 * (16 + 64 + ... + size^2).
    planes = Port(NOISE_PLANES, ("batch", 2 * (4 * context.size**2 - 16) // 3), dtype="noise")
    return _ports(context, Port(LATENT, ("batch", options.latent), dtype="noise"), planes)


def _discriminator_ports(options: Options, context: PortContext) -> Ports:
    return _ports(context)


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="MSG-ProGAN and MSG-StyleGAN: faces from noise, judged at every size at once")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the networks."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="msggan/msg_progan",
            summary="Generates a face from a latent vector, with an image at every size from 4 pixels on.",
            options=MsgProGanGeneratorOptions,
            factory="facekit_msggan.networks:build_generator",
            ports=_generator_ports,
            paper=_PAPER,
            example={"latent": 128},
            runtime=("sphere",),
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="msggan/msg_progan",
            summary="Scores an image by all its sizes together, and by how much a batch varies.",
            options=MsgProGanOptions,
            factory="facekit_msggan.networks:build_discriminator",
            ports=_discriminator_ports,
            paper=_PAPER,
            example={"latent": 128},
            batch_dependent=True,
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="msggan/msg_stylegan",
            summary="Generates a face by a mapping network and styled layers, with an image at every size.",
            options=MsgStyleGanGeneratorOptions,
            factory="facekit_msggan.style_networks:MsgStyleGanGenerator",
            ports=_style_generator_ports,
            paper=_PAPER,
            example={"latent": 512, "mapping_layers": 8},
            runtime=("truncation", "truncated_layers"),
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="msggan/msg_stylegan",
            summary="Scores an image by all its sizes; each block sees how much a group of samples varies.",
            options=MsgStyleGanOptions,
            factory="facekit_msggan.style_networks:MsgStyleGanDiscriminator",
            ports=_discriminator_ports,
            paper=_PAPER,
            example={"base": 8192},
            batch_dependent=True,
        ),
    ]


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the import of official checkpoints."""
    return [
        CommandSpec(
            name="import msggan",
            summary="Convert an official MSG-ProGAN checkpoint into weights that recipes can start from.",
            target="facekit_msggan.command:import_msggan",
        )
    ]
