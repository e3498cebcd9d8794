"""A plugin for facekit in one file.

    facekit run my_generator.yaml --plugin-file my_generator.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import GENERATED, MASK, STYLE, BuildContext, Options, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class EncoderDecoderOptions(Options):
    """Options of the generator."""

    channels: int = Field(32, ge=1)
    """Channels at full resolution; they double with each of the two halvings."""
    blocks: int = Field(2, ge=0)
    """Residual blocks at a quarter of the size."""
    style: bool = False
    """Take a style vector as well, from anything that gives one an image."""


def encoder_decoder_ports(options: EncoderDecoderOptions, context: PortContext) -> Ports:
    """Needs a mask (and a style), gives the image."""
    needs = (MASK, STYLE) if options.style else (MASK,)
    return Ports(needs=needs, gives=(GENERATED,), smallest_size=8, size_multiple=4)


ENCODER_DECODER = ComponentSpec(
    interface_version=1,
    kind="generator",
    id="my_generator/encoder_decoder",
    summary="Generates an image of a mask with a small encoder and decoder.",
    options=EncoderDecoderOptions,
    factory="my_generator:build_generator",
    ports=encoder_decoder_ports,
    example={"channels": 32, "blocks": 2},
)


def build_generator(options: EncoderDecoderOptions, context: BuildContext) -> Any:
    """Build the generator from a recipe's options."""
    import torch
    from facekit.interfaces import Condition, FacekitError, Generated, Style
    from torch import Tensor, nn
    from torch.nn import functional as F

    class Residual(nn.Module):
        """Two convolutions whose result is added to what went in."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(channels, channels, 3, padding=1)
            self.norm = nn.GroupNorm(1, channels)
            self.second = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, hidden: Tensor) -> Tensor:
            """Return the hidden maps (N, C, H, W), changed."""
            return hidden + self.second(F.relu(self.norm(self.first(hidden))))

    class EncoderDecoder(nn.Module):
        """Mask, and a style where it takes one, to image.

        Args:
            classes: how many classes the masks have.
            style: numbers in a style; 0 for a generator that takes none.
            options: the recipe's options.
        """

        def __init__(self, classes: int, style: int, options: EncoderDecoderOptions) -> None:
            super().__init__()
            width = options.channels
            self.classes = classes
            self.first = nn.Conv2d(classes, width, 3, padding=1)
            self.down = nn.ModuleList(nn.Conv2d(width * 2**i, width * 2 ** (i + 1), 3, 2, 1) for i in range(2))
            self.style = nn.Linear(style, 4 * width) if style else None
            self.middle = nn.Sequential(*(Residual(4 * width) for _ in range(options.blocks)))
            self.up = nn.ModuleList(nn.Conv2d(width * 2 ** (i + 1), width * 2**i, 3, padding=1) for i in (1, 0))
            self.last = nn.Conv2d(width, 3, 3, padding=1)
            # He's initialisation lets mask and style through to the image from the start.
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

        def forward(self, condition: Condition, style: Style | None) -> Generated:
            """Return images (N, 3, H, W) in [-1, 1] of masks (N, H, W).

            Raises:
                FacekitError: it takes a style, and none is given.
            """
            mask = condition.require_mask()
            ids = torch.arange(self.classes, device=mask.device)
            planes = (mask[:, None] == ids[:, None, None]).to(self.first.weight.dtype)
            hidden = F.relu(self.first(planes))
            for layer in self.down:
                hidden = F.relu(layer(hidden))
            if self.style is not None:
                if style is None:
                    raise FacekitError("this generator takes a style", remedy="give one, or build it with style: false")
                hidden = hidden + self.style(style.code)[:, :, None, None]
            hidden = self.middle(hidden)
            for layer in self.up:
                hidden = F.relu(layer(F.interpolate(hidden, scale_factor=2.0, mode="nearest")))
            return Generated(self.last(hidden).tanh())

    style = context.dimension("style") if options.style else 0
    return EncoderDecoder(len(context.label_map), style, options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [ENCODER_DECODER]
