"""A plugin in one file: generators that start from noise, and read a mask too or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    MASK,
    BuildContext,
    Condition,
    Generated,
    NoOptions,
    Port,
    Ports,
    Step,
    Style,
)
from facekit.registry import ComponentSpec, hookimpl
from facekit_gan import fake, real

NOISE = Port("noise", ("batch", 5), dtype="noise")


@dataclass(frozen=True, slots=True)
class WithLatents(Generated):
    """A family's own result."""

    latents: Tensor | None = None


class FromNoise(nn.Module):
    """Smooth images (N, 3, S, S) from five numbers each, and shifted by the mask where there is one to read."""

    def __init__(self, size: int, *, reads_mask: bool) -> None:
        super().__init__()
        self.size = size
        self.reads_mask = reads_mask
        self.head = nn.Linear(5, 3 * 4 * 4)
        nn.init.normal_(self.head.weight, std=0.5)
        self.last = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        noise = condition.extra["noise"]
        coarse = self.head(noise).view(-1, 3, 4, 4)
        image = nn.functional.interpolate(coarse, size=(self.size, self.size), mode="bilinear")
        if self.reads_mask:
            image = image + 0.3 * condition.require_mask().unsqueeze(1)
        image = torch.tanh(self.last(image))
        return WithLatents(image, (nn.functional.avg_pool2d(image, 2),), latents=noise)


class OneFace(FromNoise):
    """A generator that has collapsed: it gives the same image whatever the noise."""

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        noise = condition.extra["noise"]
        return super().forward(condition.with_(noise=torch.ones_like(noise)), style)


def spread(step: Step) -> Tensor:
    """The mean colour of results is that of photos."""
    return (fake(step).image.mean((0, 2, 3)) - real(step).image.mean((0, 2, 3))).square().mean()


def build_from_noise(options: NoOptions, context: BuildContext) -> nn.Module:
    return FromNoise(context.size, reads_mask=False)


def build_from_mask_and_noise(options: NoOptions, context: BuildContext) -> nn.Module:
    return FromNoise(context.size, reads_mask=True)


def build_one_face(options: NoOptions, context: BuildContext) -> nn.Module:
    return OneFace(context.size, reads_mask=False)


def build_spread(options: NoOptions, context: BuildContext) -> Any:
    return spread


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, ports: Ports) -> ComponentSpec:
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"noise/{name}",
            summary=name,
            options=NoOptions,
            factory=f"noise_plugin:build_{name}",
            ports=lambda options, context: ports,
        )

    return (
        spec("generator", "from_noise", Ports(needs=(NOISE,), gives=(GENERATED,))),
        spec("generator", "from_mask_and_noise", Ports(needs=(MASK, NOISE), gives=(GENERATED,))),
        spec("generator", "one_face", Ports(needs=(NOISE,), gives=(GENERATED,))),
        spec("loss", "spread", Ports(needs=(GENERATED, IMAGE))),
    )
