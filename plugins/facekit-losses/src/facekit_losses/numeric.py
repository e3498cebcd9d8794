"""A little arithmetic that several losses share."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and others as they are, so that losses are summed in full precision."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def mean_absolute_difference(left: Tensor, right: Tensor) -> Tensor:
    """Return the mean of ``|left - right|`` over tensors of one shape, a scalar.

    Raises:
        ValueError: the shapes differ (broadcasting would hide a mistake).
    """
    if left.shape != right.shape:
        raise ValueError(f"cannot compare tensors of shapes {tuple(left.shape)} and {tuple(right.shape)}")
    return (at_least_float32(left) - at_least_float32(right)).abs().mean()
