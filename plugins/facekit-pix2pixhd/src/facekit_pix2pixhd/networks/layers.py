"""Layers that the pix2pixHD networks have in common."""

from __future__ import annotations

from torch import Tensor, nn

from facekit_layers import ReflectedConvolution, instance_norm


def normalised_relu(features: Tensor) -> Tensor:
    """ReLU of :func:`instance_norm`; N,C,H,W to N,C,H,W."""
    return instance_norm(features, slope=0.0)


class ResidualBlock(nn.Module):
    """Two reflected 3x3 convolutions with instance norm, ReLU between them, plus the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels, kernel=3)
        self.second = ReflectedConvolution(channels, channels, kernel=3)

    def forward(self, features: Tensor) -> Tensor:
        """N,channels,H,W to the same shape; height and width at least 2."""
        hidden = normalised_relu(self.first(features))
        return features + instance_norm(self.second(hidden))
