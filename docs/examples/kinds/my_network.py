"""A plugin for facekit in one file.

    facekit run my_network.yaml --plugin-file my_network.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import MASK, STYLE, BuildContext, Options, Port, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class MappingOptions(Options):
    """Options of the mapping network."""

    noise: int = Field(32, ge=1)
    """Numbers that are drawn for an image."""
    channels: int = Field(64, ge=1)
    """Width of the hidden layers."""
    layers: int = Field(2, ge=0)
    """Hidden layers."""
    length: int | None = Field(None, ge=1)
    """Numbers in a style vector; by default as many as the generator takes."""


def mapping_ports(options: MappingOptions, context: PortContext) -> Ports:
    """Needs noise, which facekit draws, and gives a style vector."""
    noise = Port("noise", ("batch", options.noise), dtype="noise")
    style = STYLE if options.length is None else Port("style", ("batch", options.length))
    return Ports(needs=(noise,), gives=(style,))


MAPPING = ComponentSpec(
    interface_version=1,
    kind="network",
    id="my_network/mapping",
    summary="Maps noise to style vectors.",
    options=MappingOptions,
    factory="my_network:build_network",
    ports=mapping_ports,
    paper="Karras et al., A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR 2019",
    example={"noise": 32, "layers": 2},
)


def build_network(options: MappingOptions, context: BuildContext) -> Any:
    """Build the network from a recipe's options."""
    from torch import Tensor, nn
    from torch.nn import functional as F

    class MappingNetwork(nn.Module):
        """Noise to style vectors.

        Args:
            length: numbers in a style.
            options: the recipe's options.
        """

        def __init__(self, length: int, options: MappingOptions) -> None:
            super().__init__()
            widths = [options.noise, *[options.channels] * options.layers]
            self.layers = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(options.layers))
            self.code = nn.Linear(widths[-1], length)

        def forward(self, noise: Tensor) -> Tensor:
            """Return style vectors (N, length) of noise (N, options.noise)."""
            hidden = noise
            for layer in self.layers:
                hidden = F.leaky_relu(layer(hidden), 0.2)
            return self.code(hidden)

    return MappingNetwork(context.dimension("style") if options.length is None else options.length, options)


class FromNoiseOptions(Options):
    """Options of the sampler."""

    truncation: float = Field(1.0, gt=0, le=1)
    """Factor on the noise: less gives fewer extreme images, and less variety."""


def from_noise_ports(options: FromNoiseOptions, context: PortContext) -> Ports:
    """Needs a mask and noise: what people are asked for when they generate an image."""
    return Ports(needs=(MASK, Port("noise", ("batch", "noise"), dtype="noise")))


FROM_NOISE = ComponentSpec(
    interface_version=1,
    kind="sampler",
    id="my_network/from_noise",
    summary="Generates images of masks in styles that a mapping network makes of noise.",
    options=FromNoiseOptions,
    factory="my_network:build_sampler",
    ports=from_noise_ports,
    # No weight depends on it: facekit generate RUN --set sampler.truncation=0.7
    runtime=("truncation",),
    example={"truncation": 0.7},
)


def build_sampler(options: FromNoiseOptions, context: BuildContext) -> Any:
    """Build the sampler from a recipe's options."""
    from collections.abc import Callable, Mapping

    from facekit.interfaces import Condition, Generated, Style

    class FromNoise:
        """Calls the mapping network, then the generator; see ``facekit.interfaces.Sampler``."""

        def __init__(self, options: FromNoiseOptions) -> None:
            self.truncation = options.truncation

        def __call__(self, networks: Mapping[str, Callable[..., Any]], condition: Condition) -> Generated:
            """Return images (N, 3, H, W) in [-1, 1], each in a style of its own, by the networks of the recipe."""
            code = networks["mapping"](condition.extra["noise"] * self.truncation)
            image: Generated = networks["generator"](condition, Style(code))
            return image

    return FromNoise(options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [MAPPING, FROM_NOISE]
