"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facekit.interfaces import (
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    HOLE,
    IMAGE,
    MASK,
    NoOptions,
    Options,
    Port,
    PortContext,
    Ports,
)
from facekit.registry import ComponentSpec, PluginInfo, hookimpl

STEP = 8
"""The generator halves its features three times."""

NOISE_LEVELS = 3
"""Sizes at which noise is added: that of the features, its half and its quarter."""

TEXTURED = ("hair", "hat", "cloth", "background")
"""Regions whose texture goes on into a hole."""

_PAPER = "after Yu et al., Free-Form Image Inpainting with Gated Convolution, ICCV 2019"


class GeneratorOptions(Options):
    """Options of the generator."""

    filters: int = Field(24, ge=4, le=4096, multiple_of=4)
    """Channels at full resolution; 2, 4 and 5 times as many at its half, quarter and eighth."""
    fold: Literal[1, 2, 4] = 1
    """Fold squares of so many pixels a side into channels, and unfold them at the end (Shi et al., CVPR 2016): images
    of twice the side for little more work."""
    first_fill: Literal["by_region", "smooth"] = "by_region"
    """What a hole begins with: the reflected texture of regions such as hair, or, ``smooth``, what lies around."""
    textured: list[str] | None = None
    """Regions that go on by reflection, for ``by_region``: by default hair, hat, clothes and background, where the
    label map has them. All others begin smoothly."""
    attention: bool = True
    """Let places at an eighth of the size attend to those of the photo that stays."""
    region_codes: bool = True
    """Give every region the mean features of what the photo still shows of it."""


class DiscriminatorOptions(Options):
    """Options of the discriminator."""

    filters: int = Field(32, ge=1, le=4096)
    """Channels after the first layer; doubled twice."""
    halvings: int = Field(3, ge=2, le=6)
    """How often the image is halved. Three see patches of 54 pixels, four of 110."""
    norm: Literal["instance", "spectral"] = "instance"
    """``instance`` norm of the features, or ``spectral`` norm of the weights, which learns more slowly."""
    patches: int = Field(64, ge=1, le=4096)
    """Patches of a scale that are discriminated, spread evenly over the hole."""


def noise_name(level: int) -> str:
    """Return the name of the port of the noise that is added at a level: 0 for the features' size, 1 for its half."""
    return f"noise_{level}"


def _generator_ports(options: GeneratorOptions, context: PortContext) -> Ports:
    sides = [context.size // options.fold >> level for level in range(NOISE_LEVELS)]
    noise = [Port(noise_name(level), ("batch", 1, side, side), dtype="noise") for level, side in enumerate(sides)]
    step = STEP * options.fold
    return Ports(needs=(MASK, IMAGE, HOLE, *noise), gives=(GENERATED,), smallest_size=2 * step, size_multiple=step)


def _discriminator_ports(options: DiscriminatorOptions, context: PortContext) -> Ports:
    step = 2**options.halvings
    return Ports(
        needs=(IMAGE, MASK, HOLE),
        gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES),
        smallest_size=2 * step,
        size_multiple=step,
    )


def _hole_l1_ports(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED, HOLE))


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="Local edits: fills a hole in a photo by an edited mask")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the networks and the loss."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="local_edit/local_edit",
            summary="Fills a hole in a photo by a mask: a U-Net that sees the photo around the hole.",
            options=GeneratorOptions,
            factory="facekit_local_edit.networks:build_generator",
            ports=_generator_ports,
            paper=_PAPER,
            example={"filters": 24},
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="local_edit/hole_patch",
            summary="Discriminates patches of the hole, at two scales.",
            options=DiscriminatorOptions,
            factory="facekit_local_edit.networks:build_discriminator",
            ports=_discriminator_ports,
            paper=_PAPER,
            example={"filters": 32},
        ),
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="local_edit/hole_l1",
            summary="The mean absolute difference between fake and real pixels of the hole.",
            options=NoOptions,
            factory="facekit_local_edit.losses:build_hole_l1",
            ports=_hole_l1_ports,
        ),
    ]
