"""The layers of StarGAN, computed where a CPU computes them best. On other devices they are torch's own.

Without that, a third of a training step goes into copies between memory orders around the norms, and half into strided
convolutions to 2x2 places with millions of weights, all of which the convolution kernels reorder at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import INSTANCE_NORM_EPSILON, instance_norm

FEW_PLACES = 16
"""Up to so many places in its result, a strided convolution is faster as one product of matrices."""


RUNNING_SHARE = 0.1
"""Share of a new batch in running statistics, as in the published networks."""


class InstanceNorm(nn.Module):
    """Instance norm with a learned scale and shift for each channel.

    Args:
        channels: how many.
        running: keep running statistics (buffers ``running_mean`` and ``running_var``): each training step moves them
            by :data:`RUNNING_SHARE`, once more where activations are computed twice, and in evaluation mode they stand
            in for those of the image.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, running: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running = running
        if running:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

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
        if self.running and not self.training:
            return self._by_running_statistics(features, rectified=rectified)
        if self.running:
            self._update(features.detach())
        scale, shift = (each.expand(len(features), -1) for each in (self.weight, self.bias))
        return instance_norm(features, scale=scale, shift=shift, slope=0.0 if rectified else None)

    def _by_running_statistics(self, features: Tensor, *, rectified: bool) -> Tensor:
        scale = self.weight.float() * (self.running_var + INSTANCE_NORM_EPSILON).rsqrt()
        shift = self.bias.float() - self.running_mean * scale
        scale, shift = (each.to(features.dtype)[None, :, None, None] for each in (scale, shift))
        result = torch.addcmul(shift, features, scale)
        return F.relu(result) if rectified else result

    @torch.no_grad()
    def _update(self, features: Tensor) -> None:
        variances, means = torch.var_mean(features.float(), dim=(2, 3))
        self.running_mean.lerp_(means.mean(0), RUNNING_SHARE)
        self.running_var.lerp_(variances.mean(0), RUNNING_SHARE)


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
