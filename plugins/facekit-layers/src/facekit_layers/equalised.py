"""Layers of Karras et al., Progressive Growing of GANs, ICLR 2018: equalised rates, pixel norm, minibatch deviation."""

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


class EqualisedDense(nn.Module):
    """A fully connected layer with equalised weights: N(0, 1) / rate, scaled by gain * rate / root of the inputs.

    Args:
        inputs: numbers of a sample (N, inputs).
        outputs: numbers of its result.
        gain: the square root of 2 before rectifiers.
        rate: factor on the learning rate, on the bias's too.
    """

    def __init__(self, inputs: int, outputs: int, *, gain: float = 2**0.5, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate = rate
        self.scale = gain * rate / inputs**0.5

    def forward(self, features: Tensor) -> Tensor:
        """Return the result (N, outputs)."""
        return F.linear(features, self.weight * self.scale, self.bias * self.rate)


def pixel_norm(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) divided by the root of their mean square over the channels."""
    return features * (features.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def with_deviation(features: Tensor, group: int | None = None) -> Tensor:
    """Return features (N, C, H, W) with a plane more: how much they vary over samples (minibatch deviation).

    Args:
        features: of a batch.
        group: samples that are compared with each other, or, where the batch does not divide into groups of so many,
            the most below that it divides into; by default the batch is one group.
    """
    count = len(features)
    most = min(group or count, count)
    size = next(each for each in range(most, 0, -1) if count % each == 0)
    grouped = features.view(size, count // size, *features.shape[1:]).float()
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).to(features.dtype)
    plane = deviation.repeat(size).view(count, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, plane], 1)
