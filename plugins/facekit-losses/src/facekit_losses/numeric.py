"""A little arithmetic that several losses share."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and others as they are, so that losses are summed in full precision."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def mean_absolute_difference(left: Tensor, right: Tensor) -> Tensor:
    """Return the mean of ``|left - right|`` over tensors of one shape, a scalar; in float32 for half precision.

    Raises:
        ValueError: the shapes differ (broadcasting would hide a mistake).
    """
    if left.shape != right.shape:
        raise ValueError(f"cannot compare tensors of shapes {tuple(left.shape)} and {tuple(right.shape)}")
    return cast("Tensor", _MeanAbsoluteDifference.apply(left, right))


class _MeanAbsoluteDifference(torch.autograd.Function):
    """The mean of absolute differences, with one number a difference kept for the backward pass: its sign.

    torch's own chain keeps them three times in float32, and its gradients of channels-last feature maps come out in
    N,C,H,W order, which every pass on the way back then pays for.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        difference = at_least_float32(left) - at_least_float32(right)
        ctx.save_for_backward(difference.sign().to(torch.int8))
        ctx.dtypes = left.dtype, right.dtype
        return difference.abs_().mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (sign,) = ctx.saved_tensors
        share = gradient / sign.numel()
        of_left, of_right = (
            (sign.to(dtype) * (share * factor).to(dtype)) if wanted else None
            for dtype, factor, wanted in zip(ctx.dtypes, (1, -1), ctx.needs_input_grad, strict=True)
        )
        return of_left, of_right
