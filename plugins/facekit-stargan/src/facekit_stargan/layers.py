"""The layers of StarGAN, computed where a CPU computes them best. On other devices they are torch's own.

Without that, a third of a training step goes into copies between memory orders around the norms, and half into strided
convolutions to 2x2 places with millions of weights, all of which the convolution kernels reorder at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import instance_norm

FEW_PLACES = 16
"""Up to so many places in its result, a strided convolution is faster as one product of matrices."""


class InstanceNorm(nn.Module):
    """Instance norm with a learned scale and shift for each channel, and no running statistics.

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, *, rectified: bool = False) -> Tensor:
        """Normalise.

        Args:
            features: N,C,H,W with more than one pixel.
            rectified: ReLU afterwards.

        Returns:
            N,C,H,W in the dtype and the memory format of ``features``.

        Raises:
            ValueError: when height and width are both 1, where the variance means nothing.
        """
        scale, shift = (each.expand(len(features), -1) for each in (self.weight, self.bias))
        return instance_norm(features, scale=scale, shift=shift, slope=0.0 if rectified else None)


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
