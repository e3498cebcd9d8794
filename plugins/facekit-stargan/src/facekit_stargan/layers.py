"""The layers of StarGAN, computed where a CPU computes them best. On other devices they are torch's own.

Without that, a third of a training step goes into copies between memory orders around the norms, and half into strided
convolutions to 2x2 places with millions of weights, all of which the convolution kernels reorder at every call.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INSTANCE_NORM_EPSILON = 1e-5
"""Added to the variance by every instance norm, as published."""

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
        if _in_one_pass(features):
            return cast("Tensor", _NormInOnePass.apply(features, self.weight, self.bias, rectified))
        normalised = F.instance_norm(features, weight=self.weight, bias=self.bias, eps=INSTANCE_NORM_EPSILON)
        if features.is_contiguous(memory_format=torch.channels_last):
            # The kernel answers in N,C,H,W order. One copy costs less than the reorder of every later convolution.
            normalised = normalised.contiguous(memory_format=torch.channels_last)
        return F.relu(normalised) if rectified else normalised


def _in_one_pass(features: Tensor) -> bool:
    """Return whether :class:`_NormInOnePass` is the faster one."""
    return (
        features.device.type == "cpu"
        and not torch.compiler.is_compiling()  # compiled code fuses the plain form by itself
        and features.dtype in (torch.float32, torch.bfloat16)
        and features.shape[2] * features.shape[3] > 1
        and features.is_contiguous(memory_format=torch.channels_last)
        and not features.is_contiguous()  # with one channel both orders are the same
    )


def _differentiable(features: Tensor, scale: Tensor, shift: Tensor, rectified: bool) -> Tensor:
    """The same from elementary operations, which can be differentiated any number of times."""
    exact = features.float()
    variance, mean = torch.var_mean(exact, dim=(2, 3), correction=0, keepdim=True)
    normalised = (exact - mean) * (variance + INSTANCE_NORM_EPSILON).rsqrt()
    result = torch.addcmul(shift[:, None, None], normalised, scale[:, None, None]).to(features.dtype)
    return F.relu(result) if rectified else result


class _NormInOnePass(torch.autograd.Function):
    """Instance norm, scale and shift, and ReLU of channels-last features on the CPU.

    Each sample is normalised by the batch norm kernel, which knows that memory order: over a batch of one, both norms
    are the same.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, shift: Tensor, rectified: bool) -> Tensor:
        count, channels = features.shape[:2]
        result = torch.empty_like(features)
        means = features.new_empty((count, channels), dtype=torch.float32)
        deviations = torch.empty_like(means)
        for index in range(count):
            torch.ops.aten.native_batch_norm.out(
                features[index : index + 1],
                scale.float(),
                shift.float(),
                None,
                None,
                True,
                0.0,
                INSTANCE_NORM_EPSILON,
                out=result[index : index + 1],
                save_mean=means[index],
                save_invstd=deviations[index],
            )
        if rectified:
            result = result.relu_()
        # What ReLU let through is read off its result, which the next layer keeps anyway.
        ctx.save_for_backward(features, scale, shift, means, deviations, result if rectified else None)
        ctx.rectified = rectified
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, scale, shift, means, deviations, result = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # the gradient is to be differentiated again
            inputs = [part for part, needed in zip((features, scale, shift), wanted, strict=True) if needed]
            again = _differentiable(features, scale, shift, ctx.rectified)
            gradients = iter(torch.autograd.grad(again, inputs, gradient, create_graph=True))
            first, second, third = (next(gradients) if needed else None for needed in wanted)
            return first, second, third, None

        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_features = torch.empty_like(features)
        of_scale, of_shift = torch.zeros_like(means[0]), torch.zeros_like(means[0])
        for index in range(len(features)):
            # Sample by sample, so that no more than one borrows memory on the way.
            sample = slice(index, index + 1)
            upstream = gradient[sample]
            if result is not None:
                upstream = torch.ops.aten.threshold_backward(upstream, result[sample], 0)
            of_features[sample], scale_part, shift_part = torch.ops.aten.native_batch_norm_backward(
                upstream,
                features[sample],
                scale.float(),
                None,
                None,
                means[index],
                deviations[index],
                True,
                INSTANCE_NORM_EPSILON,
                [True, True, True],
            )
            of_scale += scale_part
            of_shift += shift_part
        return of_features, of_scale.to(scale.dtype), of_shift.to(shift.dtype), None


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
