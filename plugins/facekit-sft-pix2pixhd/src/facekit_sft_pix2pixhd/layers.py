"""Layers of the SFT/AdaIN pix2pixHD: spatial feature transform, adaptive instance norm, and the plain ones
around them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import ReflectedConvolution, instance_norm

#: ``published``: x * gamma + beta. ``residual``: x * (1 + gamma) + beta.
SftForm = Literal["published", "residual"]

#: Slope for negative values of the leaky ReLU inside a spatial feature transform.
SFT_LEAKY_SLOPE = 0.1


class SpatialFeatureTransform(nn.Module):
    """Scale and shift features place by place, by a condition (SFT; Wang et al., CVPR 2018).

    Gamma and beta are each 1x1, leaky ReLU 0.1, 1x1 from the condition.

    Args:
        channels: channels of features, condition and everything between.
        form: ``published`` multiplies by gamma, ``residual`` by 1 + gamma.
    """

    def __init__(self, channels: int, *, form: SftForm) -> None:
        super().__init__()
        self.form = form
        self.gamma_hidden = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Conv2d(channels, channels, 1)
        self.beta_hidden = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Transform ``features`` by ``condition``, both N,channels,H,W."""
        gamma = self.gamma(F.leaky_relu(self.gamma_hidden(condition), SFT_LEAKY_SLOPE))
        beta = self.beta(F.leaky_relu(self.beta_hidden(condition), SFT_LEAKY_SLOPE))
        if self.form == "residual":
            return torch.addcmul(features + beta, features, gamma)
        return torch.addcmul(beta, features, gamma)


class AdaptiveResidualBlock(nn.Module):
    """Two reflected 3x3 convolutions, each with adaptive instance norm, ReLU between them, plus the identity.

    It takes ``4 * channels`` style numbers: shift and scale of the first norm, then of the second.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels, kernel=3)
        self.second = ReflectedConvolution(channels, channels, kernel=3)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """N,channels,H,W (at least 2x2) and N,4*channels to N,channels,H,W."""
        first_shift, first_scale, second_shift, second_scale = style.chunk(4, dim=1)
        hidden = instance_norm(self.first(features), shift=first_shift, scale=first_scale, slope=0.0)
        return features + instance_norm(self.second(hidden), shift=second_shift, scale=second_scale)


class PlainResidualBlock(nn.Module):
    """The residual block of pix2pixHD: as :class:`AdaptiveResidualBlock`, with plain instance norm and no
    style."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels, kernel=3)
        self.second = ReflectedConvolution(channels, channels, kernel=3)

    def forward(self, features: Tensor) -> Tensor:
        """N,channels,H,W (at least 2x2) to the same shape."""
        hidden = instance_norm(self.first(features), slope=0.0)
        return features + instance_norm(self.second(hidden))
