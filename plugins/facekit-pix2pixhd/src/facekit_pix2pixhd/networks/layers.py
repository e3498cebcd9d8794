"""Layers that the pix2pixHD networks have in common."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .instance_norm import instance_norm

#: ``transposed``: a transposed convolution, as published. ``resize``: pixels repeated, then a convolution.
Upsampling = Literal["transposed", "resize"]


class ReflectedConvolution(nn.Conv2d):
    """A convolution with bias and reflection padding. An odd ``kernel`` keeps height and width.

    On CUDA torch sums the gradients of reflected borders in an order that changes from run to run; here it is fixed.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int) -> None:
        padding = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, padding=padding, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs and the same height and width."""
        # Compiled code gathers the gradients, in a fixed order.
        if features.device.type != "cuda" or torch.compiler.is_compiling():
            return super().forward(features)
        width = (self.kernel_size[0] - 1) // 2
        return F.conv2d(reflect(features, width), self.weight, self.bias)


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


def halving_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """The 3/2/1 zero-padded convolution that halves height and width."""
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


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
