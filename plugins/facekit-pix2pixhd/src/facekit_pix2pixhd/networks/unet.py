"""The U-Net of pix2pix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import PUBLISHED_WEIGHT_DEVIATION, initialise_as_published

SLOPE = 0.2
"""Slope of the encoder's leaky ReLUs for negative values."""


class UNet(nn.Module):
    """The U-Net of pix2pix (Isola et al., CVPR 2017): one-hot mask to image, with connections across.

    Layer plan: at each level 4/2/1 to twice the channels, up to 8 times ``filters``, with leaky ReLU before every one
    but the first, and a norm after all but the first and the last; then, level by level, ReLU, transposed 4/2/1, norm,
    dropout at the three lowest, joined with the encoder's features of that size; ReLU, transposed 4/2/1 to ``outputs``,
    tanh. The deepest features are not normalised: at 1x1 they would be zero.

    Args:
        inputs: channels of the input.
        outputs: channels of the image.
        filters: channels at half of the size (64 as published).
        levels: how often height and width are halved (8 as published, for 256 pixels).
        norm: ``batch`` as published, or ``instance``, both with factors and offsets.
        skips: join the encoder's features to the decoder's; without, all passes through the deepest features.
        dropout: share of features that are dropped, in [0, 1).
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int = 3,
        filters: int = 64,
        levels: int = 8,
        norm: Literal["batch", "instance"] = "batch",
        skips: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.skips = skips
        self.dropout = dropout
        # A feature is dropped where a number from N(0, 1) is below this.
        self.threshold = NormalDist().inv_cdf(dropout) if dropout else -math.inf
        widths = [filters * min(2**level, 8) for level in range(levels)]

        def normed(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels, affine=True)

        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise((inputs, *widths)))
        self.down_norms = nn.ModuleList(normed(width) for width in widths[1:-1])
        joined = [width * (2 if skips and level < levels - 1 else 1) for level, width in enumerate(widths)]
        # Deepest first.
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            for a, b in zip(reversed(joined), reversed((outputs, *widths[:-1])), strict=True)
        )
        self.up_norms = nn.ModuleList(normed(width) for width in reversed(widths[:-1]))
        initialise_as_published(self)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.bias is not None:
                nn.init.zeros_(part.bias)
            elif isinstance(part, nn.BatchNorm2d | nn.InstanceNorm2d):
                nn.init.normal_(part.weight, mean=1.0, std=PUBLISHED_WEIGHT_DEVIATION)

    def forward(self, planes: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """Return images.

        Args:
            planes: (N, inputs, H, W); H and W are multiples of 2 to the number of levels.
            noise: for dropout, N(0, 1) in the shape of the decoder's lowest features, lowest first; nothing is dropped
                where it is left out.

        Returns:
            (N, outputs, H, W) in [-1, 1].
        """
        features, skipped = planes, []
        for level, down in enumerate(self.downs):
            features = down(F.leaky_relu(features, SLOPE) if level else features)
            if 0 < level < len(self.downs) - 1:
                features = self.down_norms[level - 1](features)
            skipped.append(features)
        for number, up in enumerate(self.ups):
            if number and self.skips:
                features = torch.cat([features, skipped[-1 - number]], dim=1)
            features = up(F.relu(features))
            if number < len(self.up_norms):
                features = self.up_norms[number](features)
            if number < len(noise) and self.dropout:
                kept = (noise[number] >= self.threshold).to(features.dtype)
                features = features * kept / (1 - self.dropout)
        return torch.tanh(features)
