"""Layers that the pix2pixHD networks have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Added to the variance by every instance norm, as published.
INSTANCE_NORM_EPSILON = 1e-5


def instance_norm(features: Tensor) -> Tensor:
    """Normalise every channel of every sample to mean 0 and (biased) variance 1 over height and width.

    There is no affine transform and there are no running statistics. Statistics are accumulated in fp32
    whatever the dtype of ``features``; the result has the dtype and the memory format of ``features``.

    Args:
        features: N,C,H,W with more than one pixel.

    Raises:
        ValueError: when height and width are both 1, where the variance means nothing.
    """
    normalised = F.instance_norm(features, eps=INSTANCE_NORM_EPSILON)
    # The fused kernel is several times faster than explicit mean and variance, but answers in N,C,H,W
    # order. One copy back costs less than the reorder that every later convolution would do on its own.
    if features.is_contiguous(memory_format=torch.channels_last):
        return normalised.contiguous(memory_format=torch.channels_last)
    return normalised


def reflected_convolution(inputs: int, outputs: int, *, kernel: int) -> nn.Conv2d:
    """A convolution with bias that keeps height and width by reflection padding; ``kernel`` must be odd."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect")


def halving_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """The 3/2/1 zero-padded convolution that halves height and width."""
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def doubling_convolution(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """The 3/2/1 transposed convolution with output padding 1 that doubles height and width."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def normalised_relu(features: Tensor) -> Tensor:
    """ReLU of :func:`instance_norm`; N,C,H,W to N,C,H,W."""
    return F.relu(instance_norm(features))


class ResidualBlock(nn.Module):
    """Two reflected 3x3 convolutions with instance norm, ReLU between them, plus the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = reflected_convolution(channels, channels, kernel=3)
        self.second = reflected_convolution(channels, channels, kernel=3)

    def forward(self, features: Tensor) -> Tensor:
        """N,channels,H,W to the same shape; height and width at least 2."""
        hidden = normalised_relu(self.first(features))
        return features + instance_norm(self.second(hidden))
