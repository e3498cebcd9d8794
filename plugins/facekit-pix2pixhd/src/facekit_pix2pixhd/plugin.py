"""What this plugin offers to facekit. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from facekit.interfaces import (
    DISCRIMINATOR_CLASS_LOGITS,
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    IMAGE,
    MASK,
    Options,
    Port,
    PortContext,
    Ports,
)
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

PAPER = "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs (Wang et al., CVPR 2018)"

FEATURE_CHANNELS = 3
"""Numbers a region of the feature encoder, as published."""

DROPPED_LEVELS = 3
"""How many levels of the U-Net's decoder have dropout, from the lowest resolution on."""

REGION_FEATURES = Port("style", ("batch", "classes", FEATURE_CHANNELS), value_range=(-1.0, 1.0))
"""A few numbers for each region of the mask: what the feature encoder gives."""


class GlobalGeneratorOptions(Options):
    """Options of G1."""

    filters: int = Field(64, ge=1, le=4096)
    """Channels at full resolution; every downsampling doubles them."""
    downsamplings: int = Field(4, ge=1, le=8)
    """How often height and width are halved."""
    blocks: int = Field(9, ge=1, le=256)
    """Residual blocks at the lowest resolution."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """How the decoder doubles height and width: by ``transposed`` convolutions, as published, which lay a fine grid
    over the pictures of short runs, or by ``resize``: pixels repeated, then convolved (Odena et al., Distill 2016)."""
    features: bool = False
    """Join the region features of a ``region_features`` style encoder to the mask."""


class LocalEnhancerOptions(Options):
    """Options of G2, with the G1 inside."""

    filters: int = Field(32, ge=1, le=4096)
    """Channels at full resolution; the G1 inside has twice as many."""
    global_downsamplings: int = Field(4, ge=1, le=8)
    """How often the G1 inside halves its height and width, which are half of the picture's."""
    global_blocks: int = Field(9, ge=1, le=256)
    """Residual blocks of the G1 inside."""
    local_blocks: int = Field(3, ge=1, le=256)
    """Residual blocks of the enhancer."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """How the decoder doubles height and width: by ``transposed`` convolutions, as published, which lay a fine grid
    over the pictures of short runs, or by ``resize``: pixels repeated, then convolved (Odena et al., Distill 2016)."""
    features: bool = False
    """Join the region features of a ``region_features`` style encoder to the mask."""


class UNetOptions(Options):
    """Options of pix2pix's U-Net."""

    filters: int = Field(64, ge=1, le=4096)
    """Channels at half of the size; doubled by each further level, up to 8 times as many."""
    levels: int = Field(8, ge=2, le=12)
    """How often height and width are halved: 8 end at a single pixel at 256 pixels, 7 at 128, 6 at 64."""
    norm: Literal["batch", "instance"] = "batch"
    """Norm of all layers but the first, the deepest and the last."""
    skips: bool = True
    """Join the encoder's features to the decoder's; ``false`` is the network without connections across layers."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of the features that training drops at the three lowest levels of the decoder."""
    varied: bool = False
    """Drop features when generating as well, as published: images of one mask then differ a little with the seed."""


class DiscriminatorOptions(Options):
    """Options of the multi-scale patch discriminator."""

    scales: int = Field(2, ge=1, le=6)
    """How many sizes of the image are discriminated, each half of the one before."""
    layers: int = Field(3, ge=1, le=8)
    """Layers of each scale after the first: more see larger patches. The logits come from one more."""
    last_stride: Literal[1, 2] = 1
    """Stride of the last of these layers: 1 in pix2pixHD and SPADE, 2 in SEAN."""
    filters: int = Field(64, ge=1, le=4096)
    """Channels after the first layer; doubled by each further one, up to 512."""
    norm: Literal["instance", "none"] = "instance"
    """Norm of all layers but the first and the last."""
    spectral_norm: bool | Literal["middle"] = False
    """Divide every weight by its largest singular value; with ``middle``, as in SPADE, those between the first layer
    and the last, which then have no bias where a norm would take it away."""
    classify: bool = False
    """Also read the attributes of the data off the picture, for the loss ``domain_classification``: a head on the
    features of the coarsest scale. Not published."""


class RegionFeaturesOptions(Options):
    """Options of the feature encoder."""

    filters: int = Field(16, ge=1, le=4096)
    """Channels at full resolution; every downsampling doubles them."""
    downsamplings: int = Field(4, ge=1, le=8)
    """How often height and width are halved."""


def global_generator_ports(options: GlobalGeneratorOptions, context: PortContext) -> Ports:
    """Needs a mask (and features), gives the picture."""
    return _generator_ports(options.downsamplings, features=options.features)


def local_enhancer_ports(options: LocalEnhancerOptions, context: PortContext) -> Ports:
    """Needs a mask (and features), gives the picture; G1 works at half of its size."""
    return _generator_ports(options.global_downsamplings + 1, features=options.features)


def unet_noise(options: UNetOptions, size: int) -> tuple[Port, ...]:
    """Return the noise that decides which features are dropped, lowest resolution first."""
    shapes = []
    for number in range(min(DROPPED_LEVELS, options.levels - 1) if options.dropout else 0):
        level = options.levels - 2 - number
        side = max(size // 2 ** (level + 1), 1)
        shapes.append(("batch", options.filters * min(2**level, 8), side, side))
    return tuple(Port(f"dropout_{number}", shape, dtype="noise") for number, shape in enumerate(shapes))


def unet_ports(options: UNetOptions, context: PortContext) -> Ports:
    """Needs a mask, gives the image; noise for dropout."""
    step = 2**options.levels
    noise = unet_noise(options, context.size)
    return Ports(needs=(MASK, *noise), gives=(GENERATED,), smallest_size=step, size_multiple=step)


def discriminator_ports(options: DiscriminatorOptions, context: PortContext) -> Ports:
    """Needs picture and mask, gives logits and features, and logits of attributes where it classifies."""
    classified = (DISCRIMINATOR_CLASS_LOGITS,) if options.classify else ()
    return Ports(
        needs=(IMAGE, MASK),
        gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES, *classified),
        # Instance norm needs more than one pixel, at the coarsest scale as well.
        smallest_size=2**options.scales,
    )


def region_features_ports(options: RegionFeaturesOptions, context: PortContext) -> Ports:
    """Needs photo and mask, gives a few numbers for each region."""
    step = 2**options.downsamplings
    return Ports(needs=(IMAGE, MASK), gives=(REGION_FEATURES,), smallest_size=2 * step, size_multiple=step)


def _generator_ports(halvings: int, *, features: bool) -> Ports:
    step = 2**halvings
    return Ports(
        needs=(MASK, REGION_FEATURES) if features else (MASK,),
        gives=(GENERATED,),
        smallest_size=2 * step,
        size_multiple=step,
    )


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="pix2pixHD: G1, G2, multi-scale patch discriminator; the U-Net of pix2pix.")


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    """Offer the generators, the discriminator and the feature encoder."""
    return (
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="pix2pixhd/pix2pixhd_global",
            summary="G1: a face from a mask, without a reference unless features are joined.",
            options=GlobalGeneratorOptions,
            factory="facekit_pix2pixhd.components:build_global_generator",
            ports=global_generator_ports,
            example={"filters": 64, "downsamplings": 4, "blocks": 9},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="pix2pixhd/pix2pixhd_local_enhancer",
            summary="G2: G1 at half of the size, refined at full size.",
            options=LocalEnhancerOptions,
            factory="facekit_pix2pixhd.components:build_local_enhancer",
            ports=local_enhancer_ports,
            example={"filters": 32, "global_blocks": 9, "local_blocks": 3},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="pix2pixhd/pix2pix_unet",
            summary="The U-Net of pix2pix: a face from a mask, with connections across its layers or without.",
            options=UNetOptions,
            factory="facekit_pix2pixhd.components:build_unet",
            ports=unet_ports,
            example={"filters": 64, "levels": 8},
            paper="Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., CVPR 2017)",
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="pix2pixhd/multiscale_patch",
            summary="PatchGAN at several scales on the mask and the picture together.",
            options=DiscriminatorOptions,
            factory="facekit_pix2pixhd.components:build_discriminator",
            ports=discriminator_ports,
            example={"scales": 3, "layers": 3},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="style_encoder",
            id="pix2pixhd/region_features",
            summary="The 3-channel feature encoder: a few numbers for each region, averaged over it.",
            options=RegionFeaturesOptions,
            factory="facekit_pix2pixhd.components:build_region_features",
            ports=region_features_ports,
            paper=PAPER,
        ),
    )


@hookimpl
def facekit_commands() -> Iterable[CommandSpec]:
    """Offer the import of official checkpoints."""
    return (
        CommandSpec(
            name="import pix2pixhd",
            summary="Convert an official pix2pixHD checkpoint into weights that recipes can start from.",
            target="facekit_pix2pixhd.command:import_pix2pixhd",
        ),
    )
