"""Convolutions as functions of tensors, with backward passes that are fast on the CPU.

They compute what torch's own functions compute, forward and backward; only how differs. There are four ways:
:mod:`.winograd`, :mod:`.products`, :mod:`.few_outputs`, and torch's own.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from . import few_outputs, products, winograd
from .reflection import reflect, reflected_gradient
from .torch_gradients import torch_gradients

_Way = Literal["winograd", "products", "few_outputs", "torch"]
_Gradients = tuple[Tensor | None, Tensor | None]


def convolve(
    features: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0, reflection: int = 0
) -> Tensor:
    """Convolve N,inputs,H,W with a square kernel.

    Args:
        features: N,inputs,H,W.
        weight: outputs, inputs, k, k; in a wider type than the features it is cast, in both passes, and no copy kept.
        bias: outputs, in the type of ``features``; None for none.
        stride: of the convolution.
        padding: of zeros on every side.
        reflection: pixels that are reflected at each border first. The backward pass does so again: the wider features
            are not kept.

    Returns:
        N,outputs,h,w in the type of ``features``.
    """
    if not on_cpu(features):
        padded = reflect(features, reflection) if reflection else features
        return F.conv2d(padded, weight.to(features.dtype), bias, stride, padding)
    if not reflection and _way(features, weight, stride=stride, padding=padding) == "torch":
        return F.conv2d(features, weight.to(features.dtype), bias, stride, padding)
    return cast("Tensor", _Convolution.apply(features, weight, bias, stride, padding, reflection))


def double(features: Tensor, weight: Tensor, bias: Tensor | None, *, output_padding: int = 0) -> Tensor:
    """Convolve, transposed, to twice the height and width, with a kernel (inputs, outputs, k, k), in the type of
    ``features`` and ``bias``.

    The stride is 2 and the padding 1; ``k`` is 3 with ``output_padding`` 1, or 4 with none.
    """
    if on_cpu(features):
        return cast("Tensor", _Doubling.apply(features, weight, bias, output_padding))
    return F.conv_transpose2d(features, weight.to(features.dtype), bias, 2, 1, output_padding)


def on_cpu(features: Tensor) -> bool:
    """Return whether the backward passes of this module are the faster ones."""
    return features.device.type == "cpu" and not torch.compiler.is_compiling()


def _way(features: Tensor, weight: Tensor, *, stride: int, padding: int) -> _Way:
    """Return how a convolution and its gradients are computed."""
    if winograd.fits(features, weight, stride=stride, padding=padding):
        return "winograd"
    if products.has_many_weights(weight):
        return "products"
    return "few_outputs" if few_outputs.fits(features, weight, stride=stride, padding=padding) else "torch"


def _gradients(
    way: _Way,
    features: Tensor,
    gradient: Tensor,
    weight: Tensor,
    *,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool],
) -> _Gradients:
    """Return the gradients of features and weight, each where it is wanted, from that of the result."""
    if way == "winograd":
        return winograd.gradients(features, gradient, weight, padding=padding, wanted=wanted)
    if way == "few_outputs":
        return few_outputs.gradients(features, gradient, weight, wanted=wanted)
    how = {"stride": stride, "padding": padding}
    if way == "products":
        return products.gradients(features, gradient, weight, **how, wanted=wanted)
    return torch_gradients(gradient, features, weight, **how, wanted=(*wanted, False))[:2]


class _Convolution(torch.autograd.Function):
    """A convolution in one of the ways of this module, of features that may be reflected at their borders first."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, reflection: int
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding, ctx.reflection = stride, padding, reflection
        padded = reflect(features, reflection) if reflection else features
        ctx.way = _way(padded, weight, stride=stride, padding=padding)
        if ctx.way == "winograd":
            return winograd.convolve(padded, weight, bias, padding=padding)
        narrow = weight.to(features.dtype)
        if products.has_few_places_forward(padded, weight, stride=stride, padding=padding):
            return products.convolve(padded, narrow, bias, stride=stride, padding=padding)
        if ctx.way == "few_outputs":
            return few_outputs.convolve(padded, narrow, bias)
        return F.conv2d(padded, narrow, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        features, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        how = {"stride": ctx.stride, "padding": ctx.padding}
        padded = reflect(features, ctx.reflection) if ctx.reflection else features
        if torch.is_grad_enabled():  # the gradient is to be differentiated again, which torch's own can be
            of_padded, of_weight, of_bias = torch_gradients(gradient, padded, weight, **how, wanted=wanted)
        else:
            if padded.is_contiguous(memory_format=torch.channels_last):
                gradient = gradient.contiguous(memory_format=torch.channels_last)
            of_padded, of_weight = _gradients(ctx.way, padded, gradient, weight, **how, wanted=wanted[:2])
            of_bias = gradient.sum((0, 2, 3)) if wanted[2] else None
        if of_padded is not None and ctx.reflection:
            of_padded = reflected_gradient(of_padded, features, ctx.reflection)
        return of_padded, of_weight, of_bias, None, None, None


class _Doubling(torch.autograd.Function):
    """A transposed convolution to twice the size, whose gradients are those of the convolution that it transposes.

    torch's own gradient of a transposed convolution's weights takes two to five times as long on the CPU. Weights in a
    wider type than the features are cast as in :class:`_Convolution`.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, output_padding: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.output_padding = output_padding
        return F.conv_transpose2d(features, weight.to(features.dtype), bias, 2, 1, output_padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            how = {"stride": 2, "padding": 1, "transposed": ctx.output_padding}
            return (*torch_gradients(gradient, features, weight, **how, wanted=wanted), None)
        if features.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_features = F.conv2d(gradient, weight.to(features.dtype), None, 2, 1) if wanted[0] else None
        of_weight = None
        if wanted[1]:
            way: _Way = "products" if products.has_many_weights(weight) else "torch"
            of_weight = _gradients(way, gradient, features, weight, stride=2, padding=1, wanted=(False, True))[1]
        return of_features, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None, None
