"""The convolutions of the networks: torch's own layers with padding and, under autocast, weights cast where it costs
least. What computes them is in :mod:`.functions`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .functions import convolve, double

#: ``transposed``: a transposed convolution, as published. ``resize``: pixels repeated, then a convolution.
Upsampling = Literal["transposed", "resize"]


class _CastOnce:
    """Casts weights that are not trained for autocast, once for as long as they stay the same."""

    weight: Tensor
    bias: Tensor | None
    _kept: tuple[tuple[object, ...], Tensor] | None = None

    def cast(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return features in the type that autocast computes convolutions in, or as they are where it is off, the
        weight that convolves them and the bias; a weight that is trained is cast by the convolution itself."""
        dtype = autocast_type(features.device)
        if dtype is None:
            return features, self.convolving(self.weight), self.bias
        bias = None if self.bias is None else self.bias.to(dtype)
        return features.to(dtype), self._weight_for(dtype), bias

    def convolving(self, weight: Tensor) -> Tensor:
        """Return the weight that convolves, from the one that is trained."""
        return weight

    def _weight_for(self, dtype: torch.dtype) -> Tensor:
        weight = self.weight
        # Subclasses of tensors, such as fake ones, need not have a place in memory.
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(weight) not in (Tensor, nn.Parameter):
            return self.convolving(weight)
        # The counter rises with every update in place; another place in memory means other weights.
        updates = None if weight.is_inference() else weight._version
        key = (dtype, weight.device, weight.data_ptr(), updates)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self.convolving(weight).to(dtype))
        return self._kept[1]


class ReflectedConvolution(_CastOnce, nn.Conv2d):
    """A convolution with bias and reflection padding.

    An odd ``kernel`` with stride 1 keeps height and width; 4 with stride 2 halves them.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> None:
        padding = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs and that height and width."""
        features, weight, bias = self.cast(features)
        return convolve(features, weight, bias, stride=self.stride[0], reflection=(self.kernel_size[0] - 1) // 2)


class HalvingConvolution(_CastOnce, nn.Conv2d):
    """The 3/2/1 zero-padded convolution that halves height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,2H,2W to N,outputs,H,W."""
        features, weight, bias = self.cast(features)
        return convolve(features, weight, bias, stride=2, padding=1)


class DoublingConvolution(_CastOnce, nn.ConvTranspose2d):
    """The transposed 3/2/1 convolution with output padding 1 that doubles height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2, padding=1, output_padding=1)

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """N,inputs,H,W to N,outputs,2H,2W."""
        if output_size is not None:
            raise ValueError("a doubling convolution has one output size: twice that of its input")
        features, weight, bias = self.cast(features)
        return double(features, weight, bias, output_padding=1)


class ResizeConvolution(_CastOnce, nn.Conv2d):
    """Repeat every pixel twice each way, then convolve 3x3 with zero padding (Odena et al., Distill 2016).

    A transposed convolution of 3x3 with stride 2 reaches some pixels by four times as many weights as others, and lays
    a fine grid over pictures; this one reaches all by as many. It is computed as one transposed 4x4 convolution with
    sums of the 3x3 weights: the same numbers, with less than half of the multiplications.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs,2H,2W."""
        features, weight, bias = self.cast(features)
        return double(features, weight, bias)

    def convolving(self, weight: Tensor) -> Tensor:
        """outputs, inputs, 3, 3 to the weights inputs, outputs, 4, 4 of the transposed convolution."""
        weight = F.pad(weight.transpose(0, 1).flip(2, 3), (0, 1, 0, 1))
        weight = weight + weight.roll(1, 2)
        return weight + weight.roll(1, 3)


def doubling_convolution(inputs: int, outputs: int, form: Upsampling) -> DoublingConvolution | ResizeConvolution:
    """A convolution that doubles height and width: transposed 3/2/1 with output padding 1, or with pixels repeated."""
    return ResizeConvolution(inputs, outputs) if form == "resize" else DoublingConvolution(inputs, outputs)


def autocast_type(device: torch.device) -> torch.dtype | None:
    """Return the type that autocast computes convolutions in on a device; None where it is off."""
    # Compiled code cannot ask whether a device knows autocast; those that are compiled for do.
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type)
    return torch.get_autocast_dtype(device.type) if known and torch.is_autocast_enabled(device.type) else None
