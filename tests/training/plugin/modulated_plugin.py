"""A generator of StyleGAN2's modulated convolutions: the batch is folded into the channels, one group a sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    MASK,
    STYLE,
    BuildContext,
    Condition,
    Generated,
    NoOptions,
    Options,
    Ports,
    Recompute,
    Step,
    Style,
    encode,
    sample,
)
from facekit.registry import ComponentSpec, hookimpl


class ModulatedOptions(Options):
    """Options of ``modulated/painter``."""

    width: int = Field(4, ge=1)
    """Channels."""


class ModulatedConvolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, side: int, style: int) -> None:
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side) / (inputs * side * side) ** 0.5)
        self.scale = nn.Linear(style, inputs)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        weight = self.weight[None] * (1 + self.scale(code))[:, None, :, None, None]
        grouped = weight.reshape(-1, channels, self.side, self.side)
        found = F.conv2d(features.reshape(1, -1, height, width), grouped, padding=self.side // 2, groups=count)
        return found.reshape(count, -1, height, width)


def plainly(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


class Painter(nn.Module):
    def __init__(self, classes: int, options: ModulatedOptions, style: int) -> None:
        super().__init__()
        self.recompute: Recompute = plainly
        self.start = nn.Conv2d(classes, options.width, 3, padding=1)
        self.first = ModulatedConvolution(options.width, options.width, 3, style)
        self.second = ModulatedConvolution(options.width, options.width, 1, style)
        self.to_image = ModulatedConvolution(options.width, 3, 1, style)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        planes = (
            F.one_hot(condition.require_mask(), self.start.in_channels).permute(0, 3, 1, 2).to(self.start.weight.dtype)
        )
        features = F.softplus(self.start(planes))
        for layer in (self.first, self.second):
            features = F.softplus(self.recompute(layer, features, style.code))
        return Generated(torch.tanh(self.to_image(features, style.code)))


def path_length(step: Step) -> Tensor:
    """A penalty on the gradient of the picture by the style, as in StyleGAN2: its gradient differentiates twice."""
    style = encode(step.networks, step.condition.reference)
    image = sample(step.networks, step.condition, style).image
    noise = torch.randn(image.shape, generator=step.random)
    (gradient,) = torch.autograd.grad((image * noise).sum(), style.code, create_graph=True)
    return gradient.square().sum(1).mean()


def l1(step: Step) -> Tensor:
    return (sample(step.networks, step.condition).image - step.batch.image).abs().mean()


def build_painter(options: ModulatedOptions, context: BuildContext) -> nn.Module:
    return Painter(len(context.label_map), options, context.dimension("style"))


def build_l1(options: NoOptions, context: BuildContext) -> Any:
    return l1


def build_path_length(options: NoOptions, context: BuildContext) -> Any:
    return path_length


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, options: type[Options], ports: Ports) -> ComponentSpec:
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"modulated/{name}",
            summary=name,
            options=options,
            factory=f"modulated_plugin:build_{name}",
            ports=lambda options, context: ports,
        )

    return (
        spec("generator", "painter", ModulatedOptions, Ports(needs=(MASK, STYLE), gives=(GENERATED,))),
        spec("loss", "l1", NoOptions, Ports(needs=(GENERATED, IMAGE))),
        spec("loss", "path_length", NoOptions, Ports(needs=(GENERATED, STYLE))),
    )
