"""The convolutions of the networks: torch's numbers, and on the CPU two faster ways to them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import winograd
from .reflection import reflect

#: ``transposed``: a transposed convolution, as published. ``resize``: pixels repeated, then a convolution.
Upsampling = Literal["transposed", "resize"]

FEW_OUTPUTS, NEIGHBOURS = 4, 4
"""A convolution to so many channels, or fewer, computes so many neighbours of a row at once."""


FEW_PLACES = 16
"""Up to so many places in its result, a strided convolution is faster as one product of matrices."""


class ReflectedConvolution(nn.Conv2d):
    """A convolution with bias and reflection padding.

    An odd ``kernel`` with stride 1 keeps height and width; 4 with stride 2 halves them.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> None:
        padding = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs and that height and width."""
        padded = reflect(features, (self.kernel_size[0] - 1) // 2)
        if padded.device.type == "cpu" and self.stride[0] == 1 and not torch.compiler.is_compiling():
            if winograd.fits(padded, self.weight):
                return winograd.convolve(padded, self.weight, self.bias)
            if self.out_channels <= FEW_OUTPUTS and (padded.shape[3] - self.kernel_size[0] + 1) % NEIGHBOURS == 0:
                return _convolve_neighbours(padded, self.weight, self.bias)
        return F.conv2d(padded, self.weight, self.bias, self.stride)


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


class HalvingConvolution(nn.Conv2d):
    """A convolution 4/2/1 with bias: height and width are halved.

    Args:
        inputs: channels of the features.
        outputs: channels of the result.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs,H/2,W/2; height and width are even."""
        if self._is_faster_as_a_product(features):
            return self._as_a_product(features)
        return super().forward(features)

    def _is_faster_as_a_product(self, features: Tensor) -> bool:
        places = (features.shape[2] // 2) * (features.shape[3] // 2)
        return features.device.type == "cpu" and places <= FEW_PLACES and not torch.compiler.is_compiling()

    def _as_a_product(self, features: Tensor) -> Tensor:
        # Channels come last in rows and weights, so that channels-last weights are not copied.
        patches = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1).unfold(1, 4, 2).unfold(2, 4, 2)
        count, height, width = patches.shape[:3]
        rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(count * height * width, -1)
        result = F.linear(rows, self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1), self.bias)
        return result.view(count, height, width, self.out_channels).permute(0, 3, 1, 2)


def doubling_convolution(inputs: int, outputs: int, form: Upsampling) -> nn.ConvTranspose2d | ResizeConvolution:
    """A convolution that doubles height and width: transposed 3/2/1 with output padding 1, or with pixels repeated."""
    if form == "resize":
        return ResizeConvolution(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def _convolve_neighbours(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve to a few channels with stride 1: neighbours in a row are outputs of one place, by shifted weights.

    A processor computes 16 outputs at a time, of which the last layer of a generator needs three.
    """
    last = NEIGHBOURS - 1
    shifted = torch.cat([F.pad(weight, (shift, last - shift)) for shift in range(NEIGHBOURS)])
    biases = None if bias is None else bias.repeat(NEIGHBOURS)
    found = F.conv2d(features, shifted, biases, (1, NEIGHBOURS)).permute(0, 2, 3, 1)
    # In channels-last order the outputs of neighbours lie one after the other, as those of a wider row do.
    return found.reshape(*found.shape[:2], -1, len(weight)).permute(0, 3, 1, 2)
