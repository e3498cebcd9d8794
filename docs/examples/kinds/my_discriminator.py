"""A plugin for facekit in one file.

    facekit run my_discriminator.yaml --plugin-file my_discriminator.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import (
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    IMAGE,
    MASK,
    BuildContext,
    Options,
    PortContext,
    Ports,
)
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class PatchesOptions(Options):
    """Options of the discriminator."""

    channels: int = Field(32, ge=1)
    """Channels of the first layer; they double with each further one."""
    layers: int = Field(2, ge=1, le=6)
    """Layers that halve the image: more see larger patches."""


def patches_ports(options: PatchesOptions, context: PortContext) -> Ports:
    """Needs image and mask, gives logits for patches, and the features that led to them."""
    return Ports(
        needs=(IMAGE, MASK), gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES), smallest_size=2**options.layers
    )


PATCHES = ComponentSpec(
    interface_version=1,
    kind="discriminator",
    id="my_discriminator/patches",
    summary="Tells patches of real and generated images apart, together with their masks.",
    options=PatchesOptions,
    factory="my_discriminator:build_discriminator",
    ports=patches_ports,
    paper="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017",
    example={"channels": 32, "layers": 3},
)


def build_discriminator(options: PatchesOptions, context: BuildContext) -> Any:
    """Build the discriminator from a recipe's options."""
    import torch
    from facekit.interfaces import Condition, DiscriminatorOutput, Generated, ScaleOutput
    from torch import nn
    from torch.nn import functional as F

    class Patches(nn.Module):
        """Image and mask to logits for patches.

        Args:
            classes: how many classes the masks have.
            options: the recipe's options.
        """

        def __init__(self, classes: int, options: PatchesOptions) -> None:
            super().__init__()
            self.classes = classes
            widths = [3 + classes, *(options.channels * 2**i for i in range(options.layers))]
            self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1) for i in range(options.layers))
            self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

        def forward(self, image: Generated, condition: Condition) -> DiscriminatorOutput:
            """Return logits (N, 1, h, w) and features of images (N, 3, H, W) with the masks they should show."""
            mask = condition.require_mask()
            ids = torch.arange(self.classes, device=mask.device)
            planes = (mask[:, None] == ids[:, None, None]).to(image.image.dtype)
            hidden = torch.cat([image.image, planes], dim=1)
            features = []
            for layer in self.down:
                hidden = F.leaky_relu(layer(hidden), 0.2)
                features.append(hidden)
            return DiscriminatorOutput((ScaleOutput(self.last(hidden), tuple(features)),))

    return Patches(len(context.label_map), options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [PATCHES]
