"""A plugin in one file: a generator that fills holes with a colour of each class, shifted by noise."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from facekit.interfaces import (
    GENERATED,
    HOLE,
    IMAGE,
    MASK,
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

SHADE = Port("shade", ("batch", 3), dtype="noise")


class Fill(nn.Module):
    """The photo, and in its hole the colours of the wanted classes."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.colours = nn.Embedding(len(context.label_map), 3)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        photo, hole = condition.source_image, condition.extra[HOLE.name]
        assert photo is not None
        assert set(hole.unique().tolist()) <= {0.0, 1.0}
        colours = self.colours(condition.require_mask()).permute(0, 3, 1, 2)
        shade = condition.extra["shade"][:, :, None, None]
        return Generated(torch.where(hole > 0, torch.tanh(colours + shade), photo))


def build(options: NoOptions, context: BuildContext) -> nn.Module:
    return Fill(context)


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def ports(options: NoOptions, context: PortContext) -> Ports:
        return Ports(needs=(MASK, IMAGE, HOLE, SHADE), gives=(GENERATED,))

    return (
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="holes/fill",
            summary="Fills holes with colours.",
            options=NoOptions,
            factory="holes_plugin:build",
            ports=ports,
        ),
    )
