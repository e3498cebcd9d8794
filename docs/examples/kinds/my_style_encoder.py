"""A plugin for facekit in one file.

    facekit run my_style_encoder.yaml --plugin-file my_style_encoder.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import IMAGE, STYLE, BuildContext, Options, Port, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class PooledStyleOptions(Options):
    """Options of the style encoder."""

    channels: int = Field(16, ge=1)
    """Channels of the first layer; they double with each of the two halvings."""
    length: int | None = Field(None, ge=1)
    """Numbers in a style vector; by default as many as the generator takes."""


def pooled_style_ports(options: PooledStyleOptions, context: PortContext) -> Ports:
    """Needs a photo, gives a style vector."""
    style = STYLE if options.length is None else Port("style", ("batch", options.length))
    return Ports(needs=(IMAGE,), gives=(style,), smallest_size=8, size_multiple=4)


POOLED_STYLE = ComponentSpec(
    interface_version=1,
    kind="style_encoder",
    id="my_style_encoder/pooled_style",
    summary="Reads one style vector from a photo.",
    options=PooledStyleOptions,
    factory="my_style_encoder:build_style_encoder",
    ports=pooled_style_ports,
    example={"channels": 16},
)


def build_style_encoder(options: PooledStyleOptions, context: BuildContext) -> Any:
    """Build the style encoder from a recipe's options."""
    from facekit.interfaces import Style
    from torch import Tensor, nn
    from torch.nn import functional as F

    class PooledStyle(nn.Module):
        """Photo to style vector.

        Args:
            length: numbers in a style.
            options: the recipe's options.
        """

        def __init__(self, length: int, options: PooledStyleOptions) -> None:
            super().__init__()
            width = options.channels
            self.first = nn.Conv2d(3, width, 3, padding=1)
            self.down = nn.ModuleList(nn.Conv2d(width * 2**i, width * 2 ** (i + 1), 3, 2, 1) for i in range(2))
            self.code = nn.Linear(4 * width, length)
            # He's initialisation keeps the differences between photos alive, so that styles differ from the start.
            for layer in (self.first, *self.down, self.code):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

        def forward(self, image: Tensor, mask: Tensor | None) -> Style:
            """Return the styles (N, length) of photos (N, 3, H, W) in [-1, 1]; their masks are not read."""
            hidden = F.relu(self.first(image))
            for layer in self.down:
                hidden = F.relu(layer(hidden))
            return Style(self.code(hidden.mean((2, 3))))

    return PooledStyle(context.dimension("style") if options.length is None else options.length, options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [POOLED_STYLE]
