"""The same plugin after another release, whose weights are computed from those before; needs ``changing_2.py``."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import GENERATED, MASK, STYLE, BuildContext, Condition, Generated, Options, Ports, Style
from facekit.registry import ComponentSpec, Migration, hookimpl

before = import_module("changing_2")


class Painter(nn.Module):
    """The style has a layer for the scale and one for the shift; the last layer works at half the gain."""

    def __init__(self, options: Options, context: BuildContext) -> None:
        super().__init__()
        channels, numbers = options.channels, context.dimension("style")  # type: ignore[attr-defined]
        self.slope = options.slope  # type: ignore[attr-defined]
        self.first = nn.Conv2d(len(context.label_map), channels, 3, padding=1)
        self.scale = nn.Linear(numbers, channels)
        self.shift = nn.Linear(numbers, channels)
        self.normalisation = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        planes = F.one_hot(condition.mask, self.first.in_channels).permute(0, 3, 1, 2).to(self.first.weight.dtype)
        scale, shift = (layer(style.code)[:, :, None, None] for layer in (self.scale, self.shift))
        features = F.leaky_relu(self.normalisation(self.first(planes)) * scale + shift, self.slope)
        return Generated(torch.tanh(self.last(features) / 2))


def build_painter(options: Options, context: BuildContext) -> nn.Module:
    return Painter(options, context)


def split(state: dict[str, Tensor], options: Options) -> dict[str, Tensor]:
    """Split the layer of the style, and double the last layer in place."""
    for kind in ("weight", "bias"):
        both = state.pop(f"style.{kind}")
        state[f"scale.{kind}"], state[f"shift.{kind}"] = both.chunk(2)
        state[f"last.{kind}"].mul_(2)
    return state


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    _, steady = before.facekit_components()
    painter = ComponentSpec(
        interface_version=1,
        kind="generator",
        id="changing/painter",
        summary="Paints.",
        options=before.PainterOptions,
        factory="changing_3:build_painter",
        ports=lambda options, context: Ports(needs=(MASK, STYLE), gives=(GENERATED,)),
        version=3,
        migrations=(
            before.MIGRATION,
            Migration(to=3, summary="Scale and shift have a layer each.", weights="changing_3:split"),
        ),
    )
    return [painter, steady]
