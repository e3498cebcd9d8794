"""A plugin for facekit in one file.

    facekit run my_discriminator.yaml --plugin-file my_discriminator.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import IMAGE, JUDGEMENT, JUDGEMENT_FEATURES, MASK, BuildContext, Options, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class CriticOptions(Options):
    """Options of the discriminator."""

    channels: int = Field(32, ge=1)
    """Channels of the first layer; they double with each further one."""
    layers: int = Field(2, ge=1, le=6)
    """Layers that halve the picture: more see larger patches."""


def critic_ports(options: CriticOptions, context: PortContext) -> Ports:
    """Needs picture and mask, gives logits for patches, and the features that led to them."""
    return Ports(needs=(IMAGE, MASK), gives=(JUDGEMENT, JUDGEMENT_FEATURES), smallest_size=2**options.layers)


CRITIC = ComponentSpec(
    interface_version=1,
    kind="discriminator",
    id="my_discriminator/critic",
    summary="Judges patches of a picture together with its mask.",
    options=CriticOptions,
    factory="my_discriminator:build_discriminator",
    ports=critic_ports,
    paper="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017",
    example={"channels": 32, "layers": 3},
)


def build_discriminator(options: CriticOptions, context: BuildContext) -> Any:
    """Build the discriminator from a recipe's options."""
    import torch
    from facekit.interfaces import Condition, Generated, Judgement, ScaleJudgement
    from torch import nn
    from torch.nn import functional as F

    class Critic(nn.Module):
        """Picture and mask to logits for patches.

        Args:
            classes: how many classes the masks have.
            options: the recipe's options.
        """

        def __init__(self, classes: int, options: CriticOptions) -> None:
            super().__init__()
            self.classes = classes
            widths = [3 + classes, *(options.channels * 2**i for i in range(options.layers))]
            self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1) for i in range(options.layers))
            self.judge = nn.Conv2d(widths[-1], 1, 3, padding=1)

        def forward(self, picture: Generated, condition: Condition) -> Judgement:
            """Return logits (N, 1, h, w) and features of pictures (N, 3, H, W) with the masks they should show."""
            ids = torch.arange(self.classes, device=condition.mask.device)
            planes = (condition.mask[:, None] == ids[:, None, None]).to(picture.image.dtype)
            hidden = torch.cat([picture.image, planes], dim=1)
            features = []
            for layer in self.down:
                hidden = F.leaky_relu(layer(hidden), 0.2)
                features.append(hidden)
            return Judgement((ScaleJudgement(self.judge(hidden), tuple(features)),))

    return Critic(len(context.label_map), options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [CRITIC]
