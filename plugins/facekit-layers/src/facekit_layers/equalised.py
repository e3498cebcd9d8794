"""Layers with equalised learning rates (Karras et al., Progressive Growing of GANs, ICLR 2018), and pixel norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Equalised(nn.Module):
    """A layer whose weights are N(0, 1) and are scaled when it computes, so that Adam moves all alike.

    Args:
        shape: of the weights.
        outputs: numbers of the bias.
        fan_in: inputs that a number of the result depends on.
        gain: the standard deviation of the result for inputs of deviation 1.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, fan_in: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / fan_in**0.5


class EqualisedConvolution(_Equalised):
    """A convolution of stride 1 with equalised weights, zero padding and a bias.

    Args:
        inputs: channels of the features (N, inputs, H, W).
        outputs: channels of the result.
        kernel: side of the kernel.
        padding: zeros at each side.
        gain: see Karras et al.; the square root of 2 before rectifiers.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int = 0, gain: float = 2**0.5) -> None:
        super().__init__((outputs, inputs, kernel, kernel), outputs, inputs * kernel**2, gain)
        self.padding = padding

    def forward(self, features: Tensor) -> Tensor:
        """Return the convolved features."""
        return F.conv2d(features, self.weight * self.scale, self.bias, padding=self.padding)


class EqualisedTransposedConvolution(_Equalised):
    """A transposed convolution of stride 1 with equalised weights and a bias, for a first layer: 1 x 1 to kernel.

    Its fan-in counts the channels alone, as the published code of MSG-GAN does.

    Args:
        inputs: channels of the features (N, inputs, H, W).
        outputs: channels of the result.
        kernel: side of the kernel.
        gain: see :class:`EqualisedConvolution`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, gain: float = 2**0.5) -> None:
        super().__init__((inputs, outputs, kernel, kernel), outputs, inputs, gain)

    def forward(self, features: Tensor) -> Tensor:
        """Return the convolved features."""
        return F.conv_transpose2d(features, self.weight * self.scale, self.bias)


def pixel_norm(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) divided by the root of their mean square over the channels."""
    return features * (features.square().mean(1, keepdim=True) + 1e-8).rsqrt()
