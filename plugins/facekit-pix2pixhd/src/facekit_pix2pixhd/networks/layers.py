"""Layers that the pix2pixHD networks have in common."""

from __future__ import annotations

from torch import Tensor, nn

from .instance_norm import instance_norm


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
    return instance_norm(features, slope=0.0)


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
