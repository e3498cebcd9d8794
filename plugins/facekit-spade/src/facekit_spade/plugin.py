"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, MASK, FacekitError, Options, Port, PortContext, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

SPADE_PAPER = "Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019"
SEAN_PAPER = "Zhu et al., SEAN: Image Synthesis with Semantic Region-Adaptive Normalization, CVPR 2020"

Statistics = Literal["batch", "group", "instance"]


class _GeneratorOptions(Options):
    """Options that both generators have."""

    filters: int = Field(64, ge=1)
    """Channels at full resolution; 16 times as many where the generator starts."""
    hidden: int = Field(128, ge=1)
    """Channels between the mask and the scale and shift that are read off it."""
    upsamplings: Literal[5, 6, 7] = 5
    """How often the size is doubled. The published code calls 5 ``normal``, 6 ``more`` and 7 ``most``; 7 ends with half
    as many channels."""
    statistics: Statistics = "batch"
    """What features are normalised over before they are scaled and shifted. Choose ``group`` for batches below 8."""
    gain: float = Field(0.02, gt=0)
    """Gain of the initial weights (Xavier normal). With 0.02, as published, the mask says next to nothing at first."""


class SpadeOptions(_GeneratorOptions):
    """Options of the SPADE generator."""

    norm: Literal["spade", "clade"] = "spade"
    """``spade`` convolves the mask to the scale and shift of every place; ``clade`` looks them up by class (Tan et al.,
    TPAMI 2021), which takes about a quarter of the time."""
    latent: int = Field(0, ge=0)
    """Numbers of the style that the generator starts from, in place of the mask: those of ``spade_encoder``; 0 for
    none. 256 is published."""


class SeanOptions(_GeneratorOptions):
    """Options of the SEAN generator."""

    code: int = Field(512, ge=1)
    """Numbers in the code of a region; as in the style encoder."""
    share_dense: bool = False
    """Let all norms share the dense layers that read each region's code. As published each norm has its own; with 512
    numbers a code these are two thirds of all weights at ``filters: 16``."""
    noise: bool = True
    """Add noise before each norm, in training alone."""


class SpadeEncoderOptions(Options):
    """Options of SPADE's image encoder."""

    filters: int = Field(64, ge=1)
    """Channels after the first layer; at most 8 times as many after the others."""
    latent: int = Field(256, ge=1)
    """Numbers of the style; as in the generator."""
    side: int | None = Field(None, ge=8)
    """Side in pixels that photos are resized to, a power of two; by default they keep their own. 256 is published.
    There are log2(side) - 2 layers."""


class SeanStyleOptions(Options):
    """Options of SEAN's style encoder."""

    code: int = Field(512, ge=1)
    """Numbers in the code of a region."""
    filters: int = Field(32, ge=1)
    """Channels at full resolution; 8 times as many before the last layer."""
    gain: float = Field(0.02, gt=0)
    """Gain of the initial weights of the last layer; see the generator's."""


def encoder_side(options: SpadeEncoderOptions, size: int) -> int:
    """Return the side that the image encoder works at.

    Raises:
        FacekitError: it is no power of two, which halving down to 4 pixels needs.
    """
    side = options.side or size
    if side < 8 or side & (side - 1):
        raise FacekitError(
            f"the encoder halves photos down to 4 pixels, so their side is a power of two, not {side}",
            where="side",
            remedy="set `side` to 64, 128 or 256: photos are resized to it",
        )
    return side


def _codes(numbers: int) -> Port:
    return Port("style", ("batch", "classes", numbers), value_range=(-1.0, 1.0))


def _generator_ports(options: SpadeOptions | SeanOptions, context: PortContext) -> Ports:
    step = 2**options.upsamplings
    # One pixel has no deviation of its own, which the norm of an instance divides by.
    smallest = 2 * step if options.statistics == "instance" else step
    style = _codes(options.code) if isinstance(options, SeanOptions) else Port("style", ("batch", options.latent))
    needs = (MASK, style) if isinstance(options, SeanOptions) or options.latent else (MASK,)
    return Ports(needs=needs, gives=(GENERATED,), smallest_size=smallest, size_multiple=step)


def _spade_encoder_ports(options: SpadeEncoderOptions, context: PortContext) -> Ports:
    encoder_side(options, context.size)
    names = ("style", "style.mean", "style.log_variance")
    return Ports(needs=(IMAGE,), gives=tuple(Port(name, ("batch", options.latent)) for name in names))


def _sean_style_ports(options: SeanStyleOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK), gives=(_codes(options.code),), smallest_size=8, size_multiple=4)


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="SPADE, CLADE and SEAN: generators whose norms read the mask, a code for each region.")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the networks."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="spade/spade",
            summary="Generates a face from a mask by norms that read the mask, as SPADE or CLADE.",
            options=SpadeOptions,
            factory="facekit_spade.components:SpadeGenerator",
            ports=_generator_ports,
            paper=SPADE_PAPER,
            example={"filters": 16, "norm": "clade"},
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="spade/sean",
            summary="Generates a face from a mask and a code for every region, which its norms read (SEAN).",
            options=SeanOptions,
            factory="facekit_spade.components:SeanGenerator",
            ports=_generator_ports,
            paper=SEAN_PAPER,
            example={"filters": 16, "code": 128, "share_dense": True},
        ),
        ComponentSpec(
            interface_version=1,
            kind="style_encoder",
            id="spade/spade_encoder",
            summary="Reads the distribution of one style vector off a photo.",
            options=SpadeEncoderOptions,
            factory="facekit_spade.components:SpadeEncoder",
            ports=_spade_encoder_ports,
            paper=SPADE_PAPER,
            example={"filters": 16},
        ),
        ComponentSpec(
            interface_version=1,
            kind="style_encoder",
            id="spade/sean_style",
            summary="Reads a code for every region off a photo; an absent region has the mean of the training photos.",
            options=SeanStyleOptions,
            factory="facekit_spade.components:SeanStyleEncoder",
            ports=_sean_style_ports,
            paper=SEAN_PAPER,
            example={"code": 128},
        ),
    ]


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the imports of official checkpoints."""
    return [
        CommandSpec(
            name=f"import {name}",
            summary=f"Convert an official {name.upper()} checkpoint into weights that recipes can start from.",
            target=f"facekit_spade.command:import_{name}",
        )
        for name in ("spade", "sean")
    ]
