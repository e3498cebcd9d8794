"""What this plugin offers to facekit. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from facekit.interfaces import GENERATED, IMAGE, MASK, STYLE, Options, Port, PortContext, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

from .style_size import style_dimension

PAPER = "Facial Image Regeneration, after MaskGAN (Lee et al., CVPR 2020)"

ENCODER_STEP = 32
"""The style encoder halves the photo five times."""


class StyleEncoderOptions(Options):
    """Options of the spatial-aware style encoder."""

    sft: Literal["residual", "published"] = "residual"
    """Spatial feature transform: ``residual`` is x(1 + gamma) + beta, ``published`` is x gamma + beta."""
    sft_levels: Literal[0, 1, 2] = 2
    """Transforms by the reference's mask: 0 does not read the mask, 1 at a quarter of the size, 2 at 1/32 as well."""
    sft_skip: bool = False
    """Add the features before the first transform to its output, as the paper's text (not its code) says."""
    init: Literal["scale_preserving", "published"] = "scale_preserving"
    """``published`` is N(0, 0.02) everywhere, which hides the photo from the generator; ``scale_preserving`` is He."""
    planes: Literal["area_balanced", "one_hot"] = "area_balanced"
    """What the mask is read as: ``one_hot`` planes, as published, or ``area_balanced`` ones, in which every region has
    the same sum, so that the mean over the picture can hold the mean colour of a region however small it is."""
    colours: bool = False
    """Give the mean colour of every region of the reference to the last layers as well, beside the 64 numbers that the
    convolutions find: the look is then exact about colours within a few hundred steps."""
    style_gain: float = Field(1.0, gt=0)
    """Factor on the initial weights of the layer that gives the style vector, with ``scale_preserving``. A small one
    starts every AdaIN near plain instance norm: shapes are learnt before references tell them apart."""
    head_hidden: int = Field(0, ge=0, le=4096)
    """Channels of a hidden layer between the picture's 64 numbers and the style vector; 0 for none, as published."""
    style_dim: int | None = Field(None, ge=1, le=65_536)
    """Numbers in a style vector; by default as many as the generator takes."""

    @model_validator(mode="after")
    def _skip_needs_a_transform(self) -> StyleEncoderOptions:
        if self.sft_skip and not self.sft_levels:
            raise ValueError("sft_skip adds to the output of the first transform, but sft_levels is 0")
        if self.colours and not self.sft_levels:
            raise ValueError("colours are those of the mask's regions, but with sft_levels 0 it is not read")
        if self.style_gain != 1 and self.init == "published":
            raise ValueError("style_gain is about init: scale_preserving; published weights are N(0, 0.02) everywhere")
        return self


class GeneratorOptions(Options):
    """Options of the generator that takes a style."""

    filters: int = Field(64, ge=1, le=4096)
    """Channels at full resolution; every downsampling doubles them."""
    blocks: int = Field(4, ge=1, le=256)
    """Residual blocks at the lowest resolution."""
    downsamplings: int = Field(4, ge=1, le=8)
    """How often height and width are halved."""
    adain: bool = True
    """Take the style by AdaIN in every residual block; ``false`` joins it to the features before them instead."""
    adain_decoder: bool = False
    """AdaIN in place of instance norm after every upsampling as well, so that absolute colours reach the picture."""
    adain_scale: Literal["residual", "published"] = "residual"
    """``residual`` scales by 1 + the style's number, ``published`` by the number itself."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """How the decoder doubles height and width: by ``transposed`` convolutions, as published, which lay a fine grid
    over the pictures of short runs, or by ``resize``: pixels repeated, then convolved (Odena et al., Distill 2016)."""

    @model_validator(mode="after")
    def _adain_is_on(self) -> GeneratorOptions:
        if not self.adain and self.adain_scale == "published":
            raise ValueError("adain_scale is about AdaIN, which adain: false switches off")
        if not self.adain and self.adain_decoder:
            raise ValueError("adain_decoder is about AdaIN, which adain: false switches off")
        return self

    @property
    def style_dimension(self) -> int:
        """Numbers in the style vector it takes."""
        return style_dimension(
            filters=self.filters,
            blocks=self.blocks,
            downsamplings=self.downsamplings,
            adain=self.adain,
            adain_decoder=self.adain_decoder,
        )


class RegionalStyleOptions(Options):
    """Options of the style encoder with one code a region."""

    code: int = Field(64, ge=4, le=4096)
    """Numbers in the code of a region; the last three are its mean colour."""
    filters: int = Field(16, ge=1, le=4096)
    """Channels at full resolution; each of the two downsamplings doubles them."""
    hidden: int = Field(128, ge=1, le=4096)
    """Units of the hidden layer that makes a code."""
    convolutions: bool = True
    """Read features by convolutions; ``false`` leaves the mean and the deviation of each region's colour."""
    details: bool = True
    """Give the features of every place to the generator, too, whose spatial feature transforms read them."""

    @model_validator(mode="after")
    def _details_are_convolved(self) -> RegionalStyleOptions:
        if self.details and not self.convolutions:
            raise ValueError("details are features of the convolutions, which convolutions: false switches off")
        return self


class RegionalGeneratorOptions(Options):
    """Options of the generator that takes one code a region."""

    code: int = Field(64, ge=4, le=4096)
    """Numbers in the code of a region; as in the style encoder."""
    filters: int = Field(32, ge=1, le=4096)
    """Channels at full resolution; every downsampling doubles them."""
    blocks: int = Field(4, ge=1, le=256)
    """Residual blocks at the lowest resolution."""
    downsamplings: int = Field(2, ge=1, le=8)
    """How often height and width are halved."""
    sft: bool = True
    """Transform the decoder's features by those of the reference, each region moved to where the mask has it."""
    encoder_filters: int = Field(16, ge=1, le=4096)
    """The style encoder's ``filters``."""
    detail_dropout: float = Field(0.5, ge=0, le=1)
    """Share of the training images in which patches of the reference's features are left out, for ``sft``, so that the
    generator learns what to put where a reference shows nothing that fits."""
    texture_regions: list[str] | None = None
    """Regions of one texture, for ``sft``: a place of theirs that lands outside the reference's region takes features
    from elsewhere in it. Hair by default, where the label map has it."""
    skin_follows: Literal["mask", "reference"] = "mask"
    """Whose light and expression skin has, for ``sft``, where the two disagree. ``mask``: where the head is turned
    otherwise than in the reference, as the noses tell, skin is generated without the reference's features (once it is
    trained), and so are cheeks and chin where the mouth is wider, narrower, more or less open. ``reference``: skin has
    them everywhere, which keeps more of a person, shadows included. It takes the regions ``skin``, ``nose``, ``mouth``,
    ``u_lip`` and ``l_lip``, as far as the label map has them."""


def detail_channels(filters: int) -> tuple[int, int, int]:
    """Return the channels of the style encoder's features at full, half and quarter size."""
    return filters, 2 * filters, 4 * filters


def _code(numbers: int) -> Port:
    return Port("style", ("batch", "classes", numbers))


def _details(present: bool, filters: int, size: int) -> tuple[Port, ...]:
    """The features of one reference at three sizes, its mask, and what it counts in each region."""
    if not present:
        return ()
    levels = zip(("full", "half", "quarter"), detail_channels(filters), strict=True)
    sides = [(size >> level, size >> level) for level in range(3)]
    return (
        *(
            Port(f"style.{name}", ("batch", 1, numbers, *side))
            for (name, numbers), side in zip(levels, sides, strict=True)
        ),
        Port("style.mask", ("batch", 1, size, size), dtype="class_ids", classes="classes"),
        Port("style.share", ("batch", "classes", 1), value_range=(0.0, 1.0)),
    )


def regional_style_ports(options: RegionalStyleOptions, context: PortContext) -> Ports:
    """Needs photo and mask, gives a code for every region, and features."""
    return Ports(
        needs=(IMAGE, MASK),
        gives=(_code(options.code), *_details(options.details, options.filters, context.size)),
        smallest_size=8,
        size_multiple=4,
    )


def regional_generator_ports(options: RegionalGeneratorOptions, context: PortContext) -> Ports:
    """Needs a mask, a code for every region and, with ``sft``, features; gives the image."""
    step = 2**options.downsamplings
    return Ports(
        needs=(MASK, _code(options.code), *_details(options.sft, options.encoder_filters, context.size)),
        gives=(GENERATED,),
        smallest_size=2 * step,
        size_multiple=step,
    )


def style_encoder_ports(options: StyleEncoderOptions, context: PortContext) -> Ports:
    """Needs photo and mask, gives a style of as many numbers as something else in the recipe asks for."""
    style = STYLE if options.style_dim is None else Port("style", ("batch", options.style_dim))
    return Ports(
        needs=(IMAGE, MASK) if options.sft_levels else (IMAGE,),
        gives=(style,),
        smallest_size=ENCODER_STEP,
        size_multiple=ENCODER_STEP,
    )


def generator_ports(options: GeneratorOptions, context: PortContext) -> Ports:
    """Needs a mask and a style of a fixed length, gives the picture."""
    step = 2**options.downsamplings
    return Ports(
        needs=(MASK, Port("style", ("batch", options.style_dimension))),
        gives=(GENERATED,),
        smallest_size=2 * step,
        size_multiple=step,
    )


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(summary="The SFT/AdaIN pix2pixHD: a spatial-aware style encoder and an AdaIN generator.")


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    """Offer the style encoder and the generator."""
    return (
        ComponentSpec(
            interface_version=1,
            kind="style_encoder",
            id="sft_pix2pixhd/sft_style",
            summary="Reads one style vector from a photo, told by SFT where each part of the face is.",
            options=StyleEncoderOptions,
            factory="facekit_sft_pix2pixhd.components:build_style_encoder",
            ports=style_encoder_ports,
            example={"sft": "residual", "colours": True, "head_hidden": 256},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="sft_pix2pixhd/sft_pix2pixhd",
            summary="pix2pixHD's global generator with the style in its residual blocks (AdaIN).",
            options=GeneratorOptions,
            factory="facekit_sft_pix2pixhd.components:build_generator",
            ports=generator_ports,
            example={"filters": 32, "downsamplings": 2, "blocks": 4, "adain_decoder": True},
            paper=PAPER,
        ),
        ComponentSpec(
            interface_version=1,
            kind="style_encoder",
            id="sft_pix2pixhd/regional_style",
            summary="Reads one code for every region of a photo, and features at three sizes.",
            options=RegionalStyleOptions,
            factory="facekit_sft_pix2pixhd.regional:build_style_encoder",
            ports=regional_style_ports,
            example={"code": 64},
            paper="after SEAN (Zhu et al., CVPR 2020)",
        ),
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="sft_pix2pixhd/regional_sft_pix2pixhd",
            summary="pix2pixHD's global generator with AdaIN by region and SFT by the reference's features.",
            options=RegionalGeneratorOptions,
            factory="facekit_sft_pix2pixhd.regional:build_generator",
            ports=regional_generator_ports,
            example={"filters": 32, "blocks": 4},
            paper="after SEAN (Zhu et al., CVPR 2020), CLADE (Tan et al., TPAMI 2021) and SFT (Wang et al., CVPR 2018)",
        ),
    )


@hookimpl
def facekit_commands() -> Iterable[CommandSpec]:
    """Offer the import of MaskGAN's released generator."""
    return (
        CommandSpec(
            name="import maskgan",
            summary="Convert MaskGAN's released generator into weights that recipes can start from.",
            target="facekit_sft_pix2pixhd.command:import_maskgan",
        ),
    )
