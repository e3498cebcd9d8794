"""The norm of StarGAN's generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import INSTANCE_NORM_EPSILON, instance_norm

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
        scale, shift = (each.expand(features.shape[0], -1) for each in (self.weight, self.bias))
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
