"""A loss that describes everything: ``facekit components show`` and editors print what stands here."""

from typing import Literal

from pydantic import Field

from facekit.interfaces import GENERATED, Options, Ports
from facekit.registry import ComponentSpec, PluginInfo, hookimpl


class Directions(Options):
    """Options inside an option: recipes write them as a map."""

    horizontal: float = Field(1.0, ge=0)
    """Weight of the differences between a pixel and the one to its right."""
    vertical: float = Field(1.0, ge=0)
    """Weight of the differences between a pixel and the one below it."""


class TotalVariationOptions(Options):
    """Options of ``total_variation``."""

    norm: Literal["absolute", "squared"] = "absolute"
    """``absolute`` differences let edges stay sharp, ``squared`` ones smooth them as well."""
    distance: int = Field(1, ge=1, le=16)
    """How many pixels apart neighbours are."""
    directions: Directions = Directions()
    """How much each direction counts."""


@hookimpl
def facekit_plugin_info():
    """Describe the plugin, and where people find more."""
    return PluginInfo(summary="Smoothness of images.", homepage="https://example.org/total-variation")


@hookimpl
def facekit_components():
    """Describe the loss. Called without torch being imported."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="example/total_variation",
            summary="Mean difference between neighbouring pixels of a generated image, which noise makes large.",
            options=TotalVariationOptions,
            factory="total_variation:build",
            ports=lambda options, context: Ports(needs=(GENERATED,), smallest_size=options.distance + 1),
            paper="Rudin, Osher, Fatemi: Nonlinear total variation based noise removal algorithms, Physica D 1992",
            licence="Apache-2.0",
            weights_licence=None,
            example={"norm": "squared", "directions": {"vertical": 0.5}},
        )
    ]


def build(options, context):
    """Build the loss; only now is torch needed, which facekit_gan imports."""
    from facekit_gan import fake

    def total_variation(step):
        image, distance = fake(step).image, options.distance
        across = image[..., :, distance:] - image[..., :, :-distance]
        down = image[..., distance:, :] - image[..., :-distance, :]
        if options.norm == "squared":
            across, down = across.square(), down.square()
        weights = options.directions
        return weights.horizontal * across.abs().mean() + weights.vertical * down.abs().mean()

    return total_variation
