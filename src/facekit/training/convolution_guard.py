"""Right weight gradients of grouped convolutions, which torch computes wrong on the CPU in a certain memory order.

The defect (seen in torch 2.14.1): a grouped ``conv2d`` over a batch of one gets a wrong weight gradient, without a
warning and off by more than the gradient itself, when

- the weight has channels-last strides, (C, 1, C, C) for 1x1 kernels, and
- the input is in channels-last order, but the stride of its batch dimension is not the size of an image. A dimension of
  size one may have any stride; ``reshape`` leaves (C, 1, W*C, C) where a batch is folded into the channels, which is
  how StyleGAN2's modulated convolutions are written.

``train.channels_last: true`` brings this about. Without it, a ``permute`` of features and weights can.

On a processor with AVX2 it hits 1x1 kernels of stride 1 in fp32, and 1x1 and 3x3 kernels in fp64 and bf16. All else was
right in 200,000 combinations of sizes, strides and types.

The mend is a kernel of facekit's for ``aten::convolution_backward`` on the CPU: it gives the batch dimension of such an
input its usual stride, which moves no data, and calls torch's kernel. Autograd, activation checkpointing, penalties
that differentiate twice and compiled code all call that operator, so none of them needs to know.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

_WRONG_BY = 0.1
"""Relative difference from which a gradient is wrong; rounding in bf16 stays below, the defect is above 1."""


_lock = threading.Lock()
_users = 0
"""How many contexts use the kernel of facekit; it is registered while at least one does."""
_library: Library | None = None


@contextmanager
def right_gradients(device: torch.device) -> Iterator[None]:
    """Compute right weight gradients of all convolutions while the context lasts, in backward passes of any thread.

    It does nothing on other devices than the CPU, and where torch has no such defect. It costs about 30 microseconds
    for each backward pass of a convolution, and nothing elsewhere: 0.2 % of a step of ``sft_pix2pixhd`` at 64 pixels
    and a batch of 2 (88 such passes in 1.6 s), less in larger ones.

    Args:
        device: where convolutions are computed.
    """
    if device.type != "cpu" or not torch_is_wrong():
        yield
        return
    global _users, _library
    with _lock:
        if _library is None:
            _library = Library("aten", "IMPL")
            _library.impl("convolution_backward", _convolution_backward, "CPU")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _library is not None:
                _library._destroy()
                _library = None


@cache
def torch_is_wrong() -> bool:
    """Return whether this torch has the defect: tried once in a process, on convolutions of 4x4 pixels."""
    types = (torch.float32, torch.float64, torch.bfloat16)
    return any(_differs(dtype, side) for dtype in types for side in (1, 3))


def _differs(dtype: torch.dtype, side: int) -> bool:
    """Return whether the weight gradient of a small convolution changes with a stride that means nothing."""
    groups, channels, outputs, size = 3, 4, 3, 4
    usual = _ramp(1, groups * channels, size, size, dtype=dtype).contiguous(memory_format=torch.channels_last)
    odd = usual.as_strided(usual.shape, (groups * channels, *usual.stride()[1:]))
    # As a network in channels-last order has it; contiguous() would leave the strides of a 1x1 weight as they are.
    weight = _ramp(groups * outputs, channels, side, side, dtype=dtype).to(memory_format=torch.channels_last)
    gradient = _ramp(1, groups * outputs, size, size, dtype=dtype)

    def weight_gradient(features: Tensor) -> Tensor:
        half = side // 2
        more = ([1, 1], [half, half], [1, 1], False, [0, 0], groups, [False, True, False])
        found: Tensor = torch.ops.aten.convolution_backward(gradient, features, weight, None, *more)[1]
        return found.double()

    expected = weight_gradient(usual)
    off = (weight_gradient(odd) - expected).abs().max() / expected.abs().max()
    return not float(off) < _WRONG_BY


def _ramp(*shape: int, dtype: torch.dtype) -> Tensor:
    """Return numbers in [-1, 1] without touching the global random state, no two neighbours alike."""
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float64) * 2.4).sin().reshape(shape).to(dtype)


def _convolution_backward(gradient: Tensor, features: Tensor, weight: Tensor, *more: Any) -> Any:
    """Compute the gradients of a convolution by torch's kernel, from an input with its usual batch stride."""
    groups = more[6]  # after sizes of the bias, stride, padding, dilation, whether transposed, and output padding
    if groups > 1 and features.shape[0] == 1:
        features = with_usual_batch_stride(features)
    # The operator's only kernel for every device; a call of the operator itself would come back here.
    key = torch._C.DispatchKey.CompositeExplicitAutograd
    return torch.ops.aten.convolution_backward.default._op_dk(key, gradient, features, weight, *more)


def with_usual_batch_stride(features: Tensor) -> Tensor:
    """Return a batch of one (1, C, ...) whose batch stride is the extent of its picture; the same memory."""
    rest = features.stride()[1:]
    extent = max(size * step for size, step in zip(features.shape[1:], rest, strict=True))
    if features.stride(0) == extent:
        return features
    return features.as_strided(features.shape, (extent, *rest), features.storage_offset())
