"""A plugin in one file, as it was first published: version 1 of a generator and of a loss that keeps state."""

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
from facekit.registry import ComponentSpec, hookimpl
from facekit_gan import fake


class PainterOptions(Options):
    """Options of ``changing/painter``."""

    width: int = Field(6, ge=1)
    """Channels."""
    legacy: bool = False
    """Paint the way the paper did before its erratum."""


class Painter(nn.Module):
    def __init__(self, options: PainterOptions, context: BuildContext) -> None:
        super().__init__()
        self.legacy = options.legacy
        self.stem = nn.Conv2d(len(context.label_map), options.width, 3, padding=1)
        self.style = nn.Linear(context.dimension("style"), 2 * options.width)
        self.norm = nn.BatchNorm2d(options.width)
        self.head = nn.Conv2d(options.width, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        planes = F.one_hot(condition.mask, self.stem.in_channels).permute(0, 3, 1, 2).to(self.stem.weight.dtype)
        scale, shift = self.style(style.code)[:, :, None, None].chunk(2, 1)
        features = F.relu(self.norm(self.stem(planes)) * scale + shift)
        return Generated(torch.tanh(self.head(features)) * (-1 if self.legacy else 1))


class Steady(nn.Module):
    """The distance of a result's mean from a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, step: Step) -> Tensor:
        value = fake(step).image.mean()
        loss = (value - self.mean.clone()).abs()
        with torch.no_grad():
            self.mean.lerp_(value.detach(), 0.1)
        return loss


def build_painter(options: PainterOptions, context: BuildContext) -> nn.Module:
    return Painter(options, context)


def build_steady(options: NoOptions, context: BuildContext) -> nn.Module:
    return Steady()


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="changing/painter",
            summary="Paints.",
            options=PainterOptions,
            factory="changing_1:build_painter",
            ports=lambda options, context: Ports(needs=(MASK, STYLE), gives=(GENERATED,)),
        ),
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="changing/steady",
            summary="Keeps the mean of results steady.",
            options=NoOptions,
            factory="changing_1:build_steady",
            ports=lambda options, context: Ports(needs=(GENERATED,)),
        ),
    ]
