"""The same plugin after a release: an option renamed, one added, one removed; weights renamed."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    GENERATED,
    MASK,
    STYLE,
    BuildContext,
    Condition,
    Generated,
    NoOptions,
    Options,
    Ports,
    Step,
    Style,
)
from facekit.registry import ComponentSpec, Migration, hookimpl
from facekit_gan import fake


class PainterOptions(Options):
    """Options of ``changing/painter``."""

    channels: int = Field(6, ge=1)
    """Channels."""
    slope: float = Field(0.0, ge=0)
    """Slope of the rectifier below zero."""


class Painter(nn.Module):
    def __init__(self, options: PainterOptions, context: BuildContext) -> None:
        super().__init__()
        self.slope = options.slope
        self.first = nn.Conv2d(len(context.label_map), options.channels, 3, padding=1)
        self.style = nn.Linear(context.dimension("style"), 2 * options.channels)
        self.normalisation = nn.BatchNorm2d(options.channels)
        self.last = nn.Conv2d(options.channels, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        planes = F.one_hot(condition.mask, self.first.in_channels).permute(0, 3, 1, 2).to(self.first.weight.dtype)
        scale, shift = self.style(style.code)[:, :, None, None].chunk(2, 1)
        features = F.leaky_relu(self.normalisation(self.first(planes)) * scale + shift, self.slope)
        return Generated(torch.tanh(self.last(features)))


class Steady(nn.Module):
    """The distance of a result's mean from a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.average: Tensor
        self.register_buffer("average", torch.zeros(()))

    def forward(self, step: Step) -> Tensor:
        value = fake(step).image.mean()
        loss = (value - self.average.clone()).abs()
        with torch.no_grad():
            self.average.lerp_(value.detach(), 0.1)
        return loss


def build_painter(options: PainterOptions, context: BuildContext) -> nn.Module:
    return Painter(options, context)


def build_steady(options: NoOptions, context: BuildContext) -> nn.Module:
    return Steady()


NAMES = {"stem": "first", "norm": "normalisation", "head": "last", "mean": "average"}


def rename(state: dict[str, Tensor], options: Options) -> dict[str, Tensor]:
    """Give weights of version 1 the names of version 2."""
    renamed = {}
    for name, tensor in state.items():
        part, dot, rest = name.partition(".")
        renamed[f"{NAMES.get(part, part)}{dot}{rest}"] = tensor
    return renamed


MIGRATION = Migration(
    to=2,
    summary="Layers and options have plain names, and the rectifier may leak.",
    renamed={"width": "channels"},
    removed={"legacy": "The erratum is right; train again without it."},
    harmless={"legacy": (False,)},
    weights="changing_2:rename",
)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="changing/painter",
            summary="Paints.",
            options=PainterOptions,
            factory="changing_2:build_painter",
            ports=lambda options, context: Ports(needs=(MASK, STYLE), gives=(GENERATED,)),
            version=2,
            migrations=(MIGRATION,),
        ),
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="changing/steady",
            summary="Keeps the mean of results steady.",
            options=NoOptions,
            factory="changing_2:build_steady",
            ports=lambda options, context: Ports(needs=(GENERATED,)),
            version=2,
            migrations=(Migration(to=2, summary="The mean is an average.", weights="changing_2:rename"),),
        ),
    ]
