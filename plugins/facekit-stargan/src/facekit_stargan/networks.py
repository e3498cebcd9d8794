"""The networks of StarGAN (Choi et al., CVPR 2018) as plain torch modules.

They know nothing of facekit: tensors in, tensors out. Weights start as torch initialises convolutions, as published.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import HalvingConvolution, ordered_for

from .layers import InstanceNorm
from .plugin import DOWNSAMPLINGS

PHOTO_CHANNELS = 3

LEAKY_SLOPE = 0.01
"""Slope of the discriminator's leaky ReLU for negative values, as published."""


class Layer(nn.Module):
    """A convolution without bias, then instance norm, then ReLU where there is one."""

    def __init__(
        self, convolution: nn.Conv2d | nn.ConvTranspose2d, *, rectified: bool = True, running: bool = False
    ) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = InstanceNorm(convolution.out_channels, running=running)
        self.rectified = rectified

    def forward(self, features: Tensor) -> Tensor:
        """Convolve, normalise and rectify."""
        normalised: Tensor = self.norm(self.convolution(features), rectified=self.rectified)
        return normalised


class ResidualBlock(nn.Module):
    """Two 3/1/1 convolutions with instance norm, ReLU between them, plus the identity."""

    def __init__(self, channels: int, *, running: bool = False) -> None:
        super().__init__()
        self.first = Layer(nn.Conv2d(channels, channels, 3, padding=1, bias=False), running=running)
        self.second = Layer(nn.Conv2d(channels, channels, 3, padding=1, bias=False), rectified=False, running=running)

    def forward(self, features: Tensor) -> Tensor:
        """N,channels,H,W to the same shape."""
        changed: Tensor = self.second(self.first(features))
        return features + changed


class AttributeGenerator(nn.Module):
    """Photo and wanted attributes to the changed photo.

    Layer plan, zero padding and no biases throughout: 7/1/3 to ``filters``, IN, ReLU; twice 4/2/1 to twice the
    channels, IN, ReLU; ``blocks`` residual blocks; twice transposed 4/2/1 to half the channels, IN, ReLU; 7/1/3 to 3,
    tanh.

    Args:
        attributes: how many attributes.
        filters: channels at full resolution (64 as published).
        blocks: residual blocks (6 as published).
        running: keep running statistics in the norms, which they use in evaluation mode.
    """

    def __init__(self, *, attributes: int, filters: int = 64, blocks: int = 6, running: bool = False) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(DOWNSAMPLINGS + 1)]
        self.attributes = attributes
        self.stem = Layer(nn.Conv2d(PHOTO_CHANNELS + attributes, filters, 7, padding=3, bias=False), running=running)
        self.downs = nn.ModuleList(
            Layer(nn.Conv2d(wide, wider, 4, stride=2, padding=1, bias=False), running=running)
            for wide, wider in pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1], running=running) for _ in range(blocks))
        self.ups = nn.ModuleList(
            Layer(nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False), running=running)
            for wide, narrow in pairwise(reversed(widths))
        )
        self.head = nn.Conv2d(filters, PHOTO_CHANNELS, 7, padding=3, bias=False)
        self.recompute: Callable[..., Any] = plainly

    def forward(self, photo: Tensor, attributes: Tensor) -> Tensor:
        """Change photos.

        Args:
            photo: N,3,H,W in [-1, 1]; H and W divisible by 4.
            attributes: N,attributes in {0, 1}; each becomes a plane beside the photo.

        Returns:
            N,3,H,W in [-1, 1].
        """
        planes = attributes.to(photo.dtype)[:, :, None, None].expand(-1, -1, *photo.shape[-2:])
        pair = torch.cat([photo, planes], dim=1)
        features: Tensor = self.recompute(self._enter, ordered_for(self.head.weight, pair))
        for block in self.blocks:
            features = self.recompute(block, features)
        picture: Tensor = self.recompute(self._leave, features)
        return picture

    def _enter(self, pair: Tensor) -> Tensor:
        features: Tensor = self.stem(pair)
        for down in self.downs:
            features = down(features)
        return features

    def _leave(self, features: Tensor) -> Tensor:
        for up in self.ups:
            features = up(features)
        return torch.tanh(self.head(features))


def plainly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function: what networks call their parts by until somebody wants them computed twice."""
    return function(*arguments)


class AttributeDiscriminator(nn.Module):
    """A picture to the logits of patches and of attributes.

    Layer plan: ``layers`` times 4/2/1 with bias, to ``filters`` and then to twice the channels each time, leaky ReLU
    0.01; the source head 3/1/1 to one logit a patch; the class head, as large as what is left of the picture, to one
    logit an attribute. The heads have no biases, and there are no norms.

    Args:
        attributes: how many attributes.
        size: picture side in pixels, a multiple of 2^layers.
        filters: channels after the first layer (64 as published).
        layers: strided layers (6 as published).
    """

    def __init__(self, *, attributes: int, size: int = 128, filters: int = 64, layers: int = 6) -> None:
        super().__init__()
        widths = [PHOTO_CHANNELS, *(filters * 2**level for level in range(layers))]
        self.layers = nn.ModuleList(HalvingConvolution(narrow, wide) for narrow, wide in pairwise(widths))
        self.source = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.classify = nn.Conv2d(widths[-1], attributes, size // 2**layers, bias=False)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Discriminate images.

        Args:
            picture: N,3,size,size in [-1, 1].

        Returns:
            logits of patches N,1,h,w and of attributes N,attributes.
        """
        hidden = ordered_for(self.source.weight, picture)
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), LEAKY_SLOPE)
        return self.source(hidden), self.classify(hidden).flatten(1)
