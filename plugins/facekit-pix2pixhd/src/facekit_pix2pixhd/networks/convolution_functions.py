"""Convolutions as functions of tensors, with backward passes that are fast on the CPU and repeatable on CUDA.

They compute what torch's own functions compute, forward and backward; only how differs.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from . import winograd

MANY_WEIGHTS = 1 << 22
"""From this many on, gradients are computed as products of matrices: of weights, and of features with few places."""

FEW_PLACES = 1024
"""Up to so many places of a batch, the gradient of what a convolution with many weights was given is a product."""

FEW_OUTPUTS, PLACES_AT_ONCE = 4, 4
"""Up to so many channels a convolution has few outputs, and computes so many places of a row at once."""


def reflect(features: Tensor, width: int) -> Tensor:
    """Reflect ``width`` pixels at each border: N,C,H,W to N,C,H+2*width,W+2*width, in the type of ``features``.

    On CUDA torch sums the gradients of reflected borders in an order that changes from run to run; here it is fixed.
    """
    if features.device.type == "cuda":
        return reflect_repeatably(features, width)
    if features.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):  # which pads in fp32 on the CPU, and copies before and after
            return F.pad(features, (width,) * 4, mode="reflect")
    return F.pad(features, (width,) * 4, mode="reflect")


def reflect_repeatably(features: Tensor, width: int) -> Tensor:
    """Reflect as :func:`reflect` does, with gradients that are summed in a fixed order on every device."""
    return cast("Tensor", _Reflection.apply(features, width))


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolve N,inputs,H,W with a square kernel (outputs, inputs, k, k), in the type of ``features`` and ``bias``."""
    if _on_cpu(features):
        if winograd.fits(features, weight, stride=stride, padding=padding):
            return cast("Tensor", _Winograd.apply(features, weight, bias, padding))
        if _has_many_weights(weight):
            return cast("Tensor", _Convolution.apply(features, weight, bias, stride, padding))
        if _has_few_outputs(features, weight, stride=stride, padding=padding):
            return cast("Tensor", _FewOutputs.apply(features, weight.to(features.dtype), bias))
    return F.conv2d(features, weight.to(features.dtype), bias, stride, padding)


def double(features: Tensor, weight: Tensor, bias: Tensor | None, *, output_padding: int = 0) -> Tensor:
    """Convolve, transposed, to twice the height and width, with a kernel (inputs, outputs, k, k), in the type of
    ``features`` and ``bias``.

    The stride is 2 and the padding 1; ``k`` is 3 with ``output_padding`` 1, or 4 with none.
    """
    if _on_cpu(features):
        return cast("Tensor", _Doubling.apply(features, weight, bias, output_padding))
    return F.conv_transpose2d(features, weight.to(features.dtype), bias, 2, 1, output_padding)


def _on_cpu(features: Tensor) -> bool:
    """Return whether the backward passes of this module are the faster ones."""
    return features.device.type == "cpu" and not torch.compiler.is_compiling()


def _has_many_weights(weight: Tensor) -> bool:
    """Return whether the gradient of these weights is computed as products of matrices."""
    return weight.numel() >= MANY_WEIGHTS and weight.dtype in (torch.float32, torch.bfloat16)


def _has_few_outputs(features: Tensor, weight: Tensor, *, stride: int, padding: int) -> bool:
    """Return whether a convolution is computed by :class:`_FewOutputs`."""
    outputs, _, _, kernel = weight.shape
    places = features.shape[3] - kernel + 1
    return outputs <= FEW_OUTPUTS and stride == 1 and padding == 0 and kernel > 1 and places % PLACES_AT_ONCE == 0


def _has_few_places(features: Tensor, weight: Tensor, *, stride: int, padding: int) -> bool:
    """Return whether a convolution with many weights gives so few places that its gradient is a product."""
    count, _, *sides = features.shape
    height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in sides)
    layout = torch.channels_last
    ordered = weight.is_contiguous(memory_format=layout) and features.is_contiguous(memory_format=layout)
    return ordered and count * height * width <= FEW_PLACES


def _matrix(weight: Tensor) -> Tensor:
    """Channels-last weights outputs, inputs, k, k as outputs, k*k*inputs; a view."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def features_gradient(features: Tensor, gradient: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Return the gradient of what a convolution with many weights was given, where there are few places.

    It is one product of matrices: what every place of the result asks of each place that its kernel met. These are
    summed in fp32.

    Args:
        features: what was convolved, N,inputs,H,W.
        gradient: of the result, N,outputs,h,w, in the type of ``features``.
        weight: outputs, inputs, k, k, in that type.
        stride: of the convolution.
        padding: of zeros on every side.

    Returns:
        N,inputs,H,W in the type of ``features``.
    """
    count, inputs, *sides = features.shape
    kernel = weight.shape[-1]
    height, width = (stride * (side - 1) + 1 for side in gradient.shape[2:])
    asked = (gradient.permute(0, 2, 3, 1) @ _matrix(weight)).unflatten(3, (kernel, kernel, inputs))
    total = features.new_zeros(count, *(side + 2 * padding for side in sides), inputs, dtype=torch.float32)
    for row in range(kernel):
        for column in range(kernel):
            total[:, row : row + height : stride, column : column + width : stride] += asked[:, :, :, row, column]
    inner = total[:, padding : padding + sides[0], padding : padding + sides[1]]
    return inner.to(features.dtype).permute(0, 3, 1, 2)


def weight_gradient(features: Tensor, gradient: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Return the gradient of a convolution's weights.

    With many weights it is a product of matrices for every place of the kernel, which reach 1.4 times (fp32) to three
    times (bf16, AMX) the rate of torch's own kernel there.

    Args:
        features: what was convolved, N,inputs,H,W.
        gradient: of the result, N,outputs,h,w, in the type of ``features``.
        weight: outputs, inputs, k, k, in that type or a wider one.
        stride: of the convolution.
        padding: of zeros on every side.

    Returns:
        outputs, inputs, k, k, in the type of ``weight``.
    """
    outputs, inputs, kernel, _ = weight.shape
    if not _has_many_weights(weight):
        return _backward(gradient, features, weight, stride=stride, padding=padding, wanted=(False, True, False))[1]
    height, width = (stride * (side - 1) + 1 for side in gradient.shape[2:])
    places = F.pad(features, (padding,) * 4).permute(0, 2, 3, 1)
    columns = gradient.permute(0, 2, 3, 1).reshape(-1, outputs).t().contiguous()
    # Each product is widened while it is in the cache, into the order of channels-last weights.
    result = weight.new_empty(outputs, kernel, kernel, inputs)
    for row in range(kernel):
        for column in range(kernel):
            met = places[:, row : row + height : stride, column : column + width : stride]
            result[:, row, column] = columns @ met.reshape(-1, inputs)
    return result.permute(0, 3, 1, 2)


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


class _Convolution(torch.autograd.Function):
    """A convolution with many weights, whose gradients are :func:`features_gradient` and :func:`weight_gradient`.

    Weights in a wider type than the features are cast here, and again in the backward pass: nothing keeps the copy.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        ctx.few_places = _has_few_places(features, weight, stride=stride, padding=padding)
        return F.conv2d(features, weight.to(features.dtype), bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        how = {"stride": ctx.stride, "padding": ctx.padding}
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # the gradient is to be differentiated again, which torch's own kernel can be
            return (*_backward(gradient, features, weight, **how, wanted=wanted), None, None)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_features = None
        if wanted[0] and ctx.few_places:
            of_features = features_gradient(features, gradient, weight.to(features.dtype), **how)
        elif wanted[0]:
            of_features = _backward(gradient, features, weight, **how, wanted=(True, False, False))[0]
        of_weight = weight_gradient(features, gradient, weight, **how) if wanted[1] else None
        return of_features, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None, None, None


class _Winograd(torch.autograd.Function):
    """A 3x3 convolution in fp32 by :mod:`.winograd`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.padding = padding
        return winograd.convolve(features, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            return (*_backward(gradient, features, weight, stride=1, padding=ctx.padding, wanted=wanted), None)
        found = winograd.gradients(features, gradient, weight, padding=ctx.padding, wanted=wanted[:2])
        return (*found, gradient.sum((0, 2, 3)) if wanted[2] else None, None)


class _FewOutputs(torch.autograd.Function):
    """A convolution to a few channels with stride 1 and no padding; all tensors of one type.

    The processor computes 16 outputs at a time. So four neighbours in a row are computed as outputs of one place, by
    the same weights shifted, and the gradients as those of the convolution which goes the other way, from the few
    channels to the many.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        last = PLACES_AT_ONCE - 1
        shifted = torch.cat([F.pad(weight, (shift, last - shift)) for shift in range(PLACES_AT_ONCE)])
        biases = None if bias is None else bias.repeat(PLACES_AT_ONCE)
        found = F.conv2d(features, shifted, biases, (1, PLACES_AT_ONCE)).permute(0, 2, 3, 1)
        # In channels-last order the outputs of neighbours lie one after the other, as those of a wider row do.
        return found.reshape(*found.shape[:2], -1, len(weight)).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        how = {"stride": 1, "padding": 0}
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return _backward(gradient, features, weight, **how, wanted=wanted)
        if features.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        around = F.pad(gradient, (weight.shape[-1] - 1,) * 4)
        back = weight.flip(2, 3).transpose(0, 1)
        of_features = F.conv2d(around, back) if wanted[0] else None
        of_weight = None
        if wanted[1]:
            turned = _backward(features, around, back, **how, wanted=(False, True, False))[1]
            of_weight = turned.flip(2, 3).transpose(0, 1)
        return of_features, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None


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
            more = ctx.output_padding
            return (*_backward(gradient, features, weight, stride=2, padding=1, wanted=wanted, transposed=more), None)
        if features.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_features = F.conv2d(gradient, weight.to(features.dtype), None, 2, 1) if wanted[0] else None
        of_weight = weight_gradient(gradient, features, weight, stride=2, padding=1) if wanted[1] else None
        return of_features, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None, None


def _backward(
    gradient: Tensor,
    features: Tensor,
    weight: Tensor,
    *,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool, bool],
    transposed: int | None = None,
) -> tuple[Any, Any, Any]:
    """Return torch's own gradients of a convolution: of features, weight and bias, None for those not wanted.

    Weights in a wider type than the features are cast, and their gradient is cast back. ``transposed`` is the output
    padding of a transposed convolution; None for any other.
    """
    strides, paddings, more = ((side, side) for side in (stride, padding, transposed or 0))
    biases = [len(weight) if transposed is None else weight.shape[1]]
    narrow = weight.to(features.dtype)
    of_features, of_weight, of_bias = torch.ops.aten.convolution_backward(
        gradient, features, narrow, biases, strides, paddings, (1, 1), transposed is not None, more, 1, wanted
    )
    return of_features, None if of_weight is None else of_weight.to(weight.dtype), of_bias
