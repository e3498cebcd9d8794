"""Layers of the SFT/AdaIN pix2pixHD: spatial feature transform, adaptive instance norm, and the plain ones
around them."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .instance_norm import instance_norm

#: ``published``: x * gamma + beta. ``residual``: x * (1 + gamma) + beta.
SftForm = Literal["published", "residual"]

#: ``transposed``: a transposed convolution, as published. ``resize``: pixels repeated, then a convolution.
Upsampling = Literal["transposed", "resize"]

#: Slope for negative values of the leaky ReLU inside a spatial feature transform.
SFT_LEAKY_SLOPE = 0.1


class ReflectedConvolution(nn.Conv2d):
    """A convolution with bias and reflection padding.

    An odd ``kernel`` with stride 1 keeps height and width; 4 with stride 2 halves them.
    On CUDA torch sums the gradients of reflected borders in an order that changes from run to run; here it is fixed.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> None:
        padding = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs and that height and width."""
        # Compiled code gathers the gradients, in a fixed order.
        if features.device.type != "cuda" or torch.compiler.is_compiling():
            return super().forward(features)
        width = (self.kernel_size[0] - 1) // 2
        return F.conv2d(reflect(features, width), self.weight, self.bias, self.stride)


def reflect(features: Tensor, width: int) -> Tensor:
    """Reflect ``width`` pixels at each border: N,C,H,W to N,C,H+2*width,W+2*width, repeatable on every device."""
    return cast("Tensor", _Reflection.apply(features, width))


class _Reflection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, width: int) -> Tensor:
        ctx.width = width
        return F.pad(features, (width,) * 4, mode="reflect")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        width: int = ctx.width
        for dim in (2, 3):
            size = gradient.shape[dim] - 2 * width
            before, inner, after = gradient.split((width, size, width), dim)
            gradient = inner.clone()
            gradient.narrow(dim, 1, width).add_(before.flip(dim))
            gradient.narrow(dim, size - 1 - width, width).add_(after.flip(dim))
        return gradient, None


class ResizeConvolution(nn.Conv2d):
    """Repeat every pixel twice each way, then convolve 3x3 with zero padding (Odena et al., Distill 2016).

    A transposed convolution of 3x3 with stride 2 reaches some pixels by four times as many weights as others, and lays
    a fine grid over pictures; this one reaches all by as many. It is computed as one transposed 4x4 convolution with
    sums of the 3x3 weights: the same numbers, with less than half of the multiplications.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs,2H,2W."""
        weight = F.pad(self.weight.transpose(0, 1).flip(2, 3), (0, 1, 0, 1))
        weight = weight + weight.roll(1, 2)
        weight = weight + weight.roll(1, 3)
        return F.conv_transpose2d(features, weight, self.bias, stride=2, padding=1)


def doubling_convolution(inputs: int, outputs: int, form: Upsampling) -> nn.ConvTranspose2d | ResizeConvolution:
    """A convolution that doubles height and width: transposed 3/2/1 with output padding 1, or with pixels repeated."""
    if form == "resize":
        return ResizeConvolution(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


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
