"""Reflection padding that copies nothing into another type, and whose gradients are repeatable on CUDA."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F


def reflect(features: Tensor, width: int) -> Tensor:
    """Reflect ``width`` pixels at each border: N,C,H,W to N,C,H+2*width,W+2*width, in the type of ``features``.

    On CUDA torch sums the gradients of reflected borders in an order that changes from run to run; where deterministic
    algorithms are asked for (``torch.use_deterministic_algorithms``), it is fixed here.
    """
    if features.device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        return reflect_repeatably(features, width)
    if features.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):  # which pads in fp32 on the CPU, and copies before and after
            return F.pad(features, (width,) * 4, mode="reflect")
    return F.pad(features, (width,) * 4, mode="reflect")


def reflect_repeatably(features: Tensor, width: int) -> Tensor:
    """Reflect as :func:`reflect` does, with gradients that are summed in a fixed order on every device."""
    return cast("Tensor", _Reflection.apply(features, width))


class _Reflection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, width: int) -> Tensor:
        ctx.width = width
        return F.pad(features, (width,) * 4, mode="reflect")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        width: int = ctx.width
        for dim in (2, 3):
            size = gradient.shape[dim] - 2 * width
            before, inner, after = gradient.split((width, size, width), dim)
            gradient = inner.clone()
            gradient.narrow(dim, 1, width).add_(before.flip(dim))
            gradient.narrow(dim, size - 1 - width, width).add_(after.flip(dim))
        return gradient, None
