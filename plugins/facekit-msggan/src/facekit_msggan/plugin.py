"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from pydantic import Field

from facekit.interfaces import GENERATED, GENERATED_PYRAMID, JUDGEMENT, FacekitError, Options, Port, PortContext, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

SMALLEST_SIZE = 8
"""Images of 4 pixels would have no other size beside them."""

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


def _check_size(context: PortContext) -> None:
    if context.size & (context.size - 1):
        raise FacekitError(
            f"MSG-ProGAN doubles the size from 4 pixels on, so the side is a power of two, not {context.size}",
            where="",
            remedy="set data.size to 32, 64, 128, 256, 512 or 1024",
        )


def _generator_ports(options: MsgProGanGeneratorOptions, context: PortContext) -> Ports:
    _check_size(context)
    # Linear to the end: there is no bound on what it gives.
    image = Port(GENERATED.name, GENERATED.shape)
    latent = Port("latent", ("batch", options.latent), dtype="noise")
    return Ports(needs=(latent,), gives=(image, GENERATED_PYRAMID), smallest_size=SMALLEST_SIZE)


def _discriminator_ports(options: MsgProGanOptions, context: PortContext) -> Ports:
    _check_size(context)
    image = Port(GENERATED.name, GENERATED.shape)
    return Ports(needs=(image, GENERATED_PYRAMID), gives=(JUDGEMENT,), smallest_size=SMALLEST_SIZE)


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="MSG-ProGAN: faces from noise, generated and judged at every size at once")


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
