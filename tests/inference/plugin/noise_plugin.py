"""A plugin in one file: generators that start from noise, and a style of regions with fields of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    MASK,
    REFERENCE_IMAGE,
    BuildContext,
    Condition,
    Generated,
    NoOptions,
    Port,
    PortContext,
    Ports,
    Style,
)
from facekit.registry import ComponentSpec, hookimpl

LATENT = Port("latent", ("batch", 6), dtype="noise")
STYLE = Port("style", ("batch", "classes", 4))


@dataclass(frozen=True, slots=True)
class RegionStyle(Style):
    """A style of regions that also says how sure it is."""

    spread: Tensor | None = None


class FromNoise(nn.Module):
    """Images from a latent alone."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.size = context.size
        self.head = nn.Linear(6, 3 * 8 * 8)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        latent = condition.extra["latent"]
        image = self.head(latent.to(self.head.weight.dtype)).view(-1, 3, 8, 8)
        return Generated(torch.tanh(F.interpolate(image, size=(self.size, self.size))))


class FromMaskAndNoise(nn.Module):
    """Each class has a colour that the latent shifts."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.colours = nn.Embedding(len(context.label_map), 3)
        self.shift = nn.Linear(6, 3)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        colours = self.colours(condition.require_mask()).permute(0, 3, 1, 2)
        return Generated(torch.tanh(colours + self.shift(condition.extra["latent"])[:, :, None, None]))


class RegionEncoder(nn.Module):
    """Four numbers a region: the mean colour and the area."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.classes = len(context.label_map)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor, mask: Tensor | None) -> Style:
        assert mask is not None
        planes = F.one_hot(mask, self.classes).to(image.dtype)
        area = planes.mean((1, 2))
        colour = torch.einsum("nhwr,nchw->nrc", planes, image) / planes.sum((1, 2)).clamp(min=1)[..., None]
        code = torch.cat([colour, area[..., None]], 2) * self.gain
        return RegionStyle(code, axis="regions", present=area > 0, spread=area)


class FromRegions(nn.Module):
    """Each region has the colour of its style."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert isinstance(style, RegionStyle), style
        assert style.spread is not None
        assert len(style.spread) == len(style.code)
        mask = condition.require_mask()
        rows = torch.arange(len(mask), device=mask.device)[:, None, None]
        return Generated(style.code[rows, mask, :3].permute(0, 3, 1, 2) * self.gain)


class ReadsReference(nn.Module):
    """The mean colour of the reference, brighter where the mask is large; no style encoder."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((), 0.5))

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is None
        assert condition.reference is not None
        assert condition.reference.mask is None
        colour = condition.reference.image.mean((2, 3), keepdim=True)
        level = condition.require_mask()[:, None].to(colour.dtype) / 18 - 0.5
        return Generated(torch.tanh(colour + self.gain * level))


class Mapping(nn.Module):
    """A network that only the sampler calls, with a method of its own."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layer(latent)

    def doubled(self, latent: Tensor) -> Tensor:
        return 2 * self.layer(latent)


def mapped(networks: Any, condition: Condition) -> Generated:
    """Generate from mapped noise."""
    latent = networks["mapping"].doubled(condition.extra["latent"])
    image: Generated = networks["generator"](condition.with_(latent=latent), None)
    return image


def build_from_noise(options: NoOptions, context: BuildContext) -> nn.Module:
    return FromNoise(context)


def build_from_mask_and_noise(options: NoOptions, context: BuildContext) -> nn.Module:
    return FromMaskAndNoise(context)


def build_region_encoder(options: NoOptions, context: BuildContext) -> nn.Module:
    return RegionEncoder(context)


def build_from_regions(options: NoOptions, context: BuildContext) -> nn.Module:
    return FromRegions(context)


def build_reads_reference(options: NoOptions, context: BuildContext) -> nn.Module:
    return ReadsReference(context)


def build_mapping(options: NoOptions, context: BuildContext) -> nn.Module:
    return Mapping(context)


def build_mapped(options: NoOptions, context: BuildContext) -> Any:
    return mapped


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, *needs: Port, gives: tuple[Port, ...] = (GENERATED,)) -> ComponentSpec:
        def ports(options: NoOptions, context: PortContext) -> Ports:
            return Ports(needs=needs, gives=gives)

        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"noise/{name}",
            summary=name,
            options=NoOptions,
            factory=f"noise_plugin:build_{name}",
            ports=ports,
        )

    return (
        spec("generator", "from_noise", LATENT),
        spec("generator", "from_mask_and_noise", MASK, LATENT),
        spec("style_encoder", "region_encoder", IMAGE, MASK, gives=(STYLE,)),
        spec("generator", "from_regions", MASK, STYLE),
        spec("generator", "reads_reference", MASK, REFERENCE_IMAGE),
        spec("network", "mapping", gives=()),
        spec("sampler", "mapped", LATENT),
    )
