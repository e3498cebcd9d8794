"""Instance norm, adaptive or not, with the activation after it, in one pass over the features.

``torch.nn.functional.instance_norm`` answers in N,C,H,W order, so in channels-last order each norm copies its features
twice on the way forward and twice on the way back. On the CPU each sample is therefore normalised by the batch norm
kernel, which knows that order: over a batch of one, both norms are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

#: Added to the variance by every instance norm, as published.
INSTANCE_NORM_EPSILON = 1e-5


def instance_norm(
    features: Tensor, *, scale: Tensor | None = None, shift: Tensor | None = None, slope: float | None = None
) -> Tensor:
    """Normalise every channel of every sample to mean 0 and (biased) variance 1 over height and width.

    There are no running statistics. Statistics are accumulated in fp32 whatever the dtype of ``features``.

    Args:
        features: N,C,H,W with more than one pixel.
        scale: N,C, the deviation that each channel gets; 1 by default.
        shift: N,C, the mean that each channel gets; 0 by default. Both are given, or none.
        slope: factor on what is below zero afterwards: 0 for ReLU; None for no activation.

    Returns:
        N,C,H,W in the dtype and the memory format of ``features``.

    Raises:
        ValueError: when height and width are both 1, where the variance means nothing.
    """
    if _in_one_pass(features):
        return cast("Tensor", _NormInOnePass.apply(features, scale, shift, slope))
    if scale is not None and shift is not None and features.device.type != "cpu":
        normalised, scale, shift = adaptive_norm(features, scale, shift), None, None
    else:
        normalised = F.instance_norm(features, eps=INSTANCE_NORM_EPSILON)
    if features.is_contiguous(memory_format=torch.channels_last):
        # One copy back costs less than the reorder that every later convolution would do on its own.
        normalised = normalised.contiguous(memory_format=torch.channels_last)
    return _finish(normalised, scale, shift, slope)


def adaptive_norm(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise, scale and shift N,C,H,W by one kernel on CUDA, and one on the way back: by the batch norm of one
    sample of N*C channels, whose weights are those of each sample."""
    planes = features.reshape(1, -1, *features.shape[2:])
    weight, bias = (each.to(features.dtype).flatten() for each in (scale, shift))
    found = F.batch_norm(planes, None, None, weight, bias, training=True, eps=INSTANCE_NORM_EPSILON)
    return found.view(features.shape)


def _in_one_pass(features: Tensor) -> bool:
    """Return whether the kernel of :class:`_NormInOnePass` is the faster one."""
    return (
        features.device.type == "cpu"
        and not torch.compiler.is_compiling()  # compiled code fuses the plain form by itself
        and features.dtype in (torch.float32, torch.bfloat16)
        and features.shape[2] * features.shape[3] > 1
        and features.is_contiguous(memory_format=torch.channels_last)
        and not features.is_contiguous()  # with one channel both orders are the same
    )


def _finish(normalised: Tensor, scale: Tensor | None, shift: Tensor | None, slope: float | None) -> Tensor:
    if scale is not None and shift is not None:
        normalised = torch.addcmul(
            shift.to(normalised.dtype)[:, :, None, None], normalised, scale.to(normalised.dtype)[:, :, None, None]
        )
    if slope is None:
        return normalised
    return F.leaky_relu(normalised, slope) if slope else F.relu(normalised)


def _differentiable(features: Tensor, scale: Tensor | None, shift: Tensor | None, slope: float | None) -> Tensor:
    """The same from elementary operations, which can be differentiated any number of times."""
    exact = features.float()
    variance, mean = torch.var_mean(exact, dim=(2, 3), correction=0, keepdim=True)
    normalised = ((exact - mean) * (variance + INSTANCE_NORM_EPSILON).rsqrt()).to(features.dtype)
    return _finish(normalised, scale, shift, slope)


def _weights(features: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return scale and shift in fp32; with them the kernel keeps the statistics of bf16 features in fp32 too."""
    if scale is not None and shift is not None:
        return scale.float(), shift.float()
    if features.dtype == torch.float32:
        return None, None
    ones = features.new_ones(features.shape[:2], dtype=torch.float32)
    return ones, torch.zeros_like(ones)


def _rows(weights: Tensor | None, count: int) -> Sequence[Tensor | None]:
    """Return what each sample is given of weights (N,C), None for none."""
    return (None,) * count if weights is None else weights.unbind()


class _NormInOnePass(torch.autograd.Function):
    """Instance norm, scale and shift, and activation of channels-last features on the CPU."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor | None, shift: Tensor | None, slope: float | None) -> Tensor:
        count, channels = features.shape[:2]
        result = torch.empty_like(features)
        means = features.new_empty((count, channels), dtype=torch.float32)
        deviations = torch.empty_like(means)
        scales, shifts = _weights(features, scale, shift)
        for sample, sample_scale, sample_shift, out, mean, deviation in zip(
            features.split(1),
            _rows(scales, count),
            _rows(shifts, count),
            result.split(1),
            means.unbind(),
            deviations.unbind(),
            strict=True,
        ):
            torch.ops.aten.native_batch_norm.out(
                sample,
                sample_scale,
                sample_shift,
                None,
                None,
                True,
                0.0,
                INSTANCE_NORM_EPSILON,
                out=out,
                save_mean=mean,
                save_invstd=deviation,
            )
        if slope is not None:
            result = F.leaky_relu_(result, slope) if slope else result.relu_()
        # What the activation let through is read off its result, which the next layer keeps anyway.
        ctx.save_for_backward(features, scale, shift, means, deviations, None if slope is None else result)
        ctx.slope = slope
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, scale, shift, means, deviations, result = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # the gradient is to be differentiated again
            inputs = [part for part, needed in zip((features, scale, shift), wanted, strict=True) if needed]
            again = _differentiable(features, scale, shift, ctx.slope)
            gradients = iter(torch.autograd.grad(again, inputs, gradient, create_graph=True))
            of_features, of_scale, of_shift = (next(gradients) if needed else None for needed in wanted)
            return of_features, of_scale, of_shift, None

        gradient = gradient.contiguous(memory_format=torch.channels_last)
        scales, _ = _weights(features, scale, shift)
        of_features = torch.empty_like(features)
        others: list[tuple[Tensor, Tensor]] = []
        count = len(features)
        for out, sample, sample_gradient, sample_result, sample_scale, mean, deviation in zip(
            of_features.split(1),
            features.split(1),
            gradient.split(1),
            (None,) * count if result is None else result.split(1),
            _rows(scales, count),
            means.unbind(),
            deviations.unbind(),
            strict=True,
        ):
            # Sample by sample, so that no more than one borrows memory on the way.
            found, *rest = torch.ops.aten.native_batch_norm_backward(
                sample_gradient if sample_result is None else _through(sample_gradient, sample_result, ctx.slope),
                sample,
                sample_scale,
                None,
                None,
                mean,
                deviation,
                True,
                INSTANCE_NORM_EPSILON,
                [True, scale is not None, scale is not None],
            )
            out.copy_(found)
            others.append((rest[0], rest[1]))
        if scale is None or shift is None:
            return of_features, None, None, None
        of_scale, of_shift = (torch.stack(parts) for parts in zip(*others, strict=True))
        return of_features, of_scale.to(scale.dtype), of_shift.to(shift.dtype), None


def _through(gradient: Tensor, result: Tensor, slope: float) -> Tensor:
    """Return the gradient before the activation."""
    if slope:
        return torch.ops.aten.leaky_relu_backward(gradient, result, slope, True)
    return torch.ops.aten.threshold_backward(gradient, result, 0)
