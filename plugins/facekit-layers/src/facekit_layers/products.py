"""Convolutions with many weights, and their gradients, as products of matrices.

On CPUs torch's own kernels bring the weights into an order of their own at every call. Where there are millions and few
places, that takes several times as long as the convolution: one of 1,024 to 1,024 channels and 8x8 places takes 15 ms,
the product 4 ms. Gradients as products reach 1.4 times (fp32) to three times (bf16, AMX) the rate of torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .torch_gradients import torch_gradients
from .windows import add_windows

MANY_WEIGHTS = 1 << 22
"""From this many on, the gradient of weights is computed so."""

FEW_PLACES = 1024
"""Up to so many places of a batch, that of what the convolution was given is, too."""

FEW_PLACES_FORWARD = 256
"""Up to so many, the convolution itself is, where it is not one of :mod:`.winograd`."""


def has_many_weights(weight: Tensor) -> bool:
    """Return whether the gradient of these weights is computed as products of matrices."""
    return weight.numel() >= MANY_WEIGHTS and weight.dtype in (torch.float32, torch.bfloat16)


def has_few_places(features: Tensor, gradient: Tensor, weight: Tensor) -> bool:
    """Return whether the gradient of the features, too, is computed so: with few places, all in channels-last order."""
    layout = torch.channels_last
    ordered = weight.is_contiguous(memory_format=layout) and features.is_contiguous(memory_format=layout)
    count, _, height, width = gradient.shape
    return ordered and count * height * width <= FEW_PLACES


def has_few_places_forward(features: Tensor, weight: Tensor, *, stride: int, padding: int) -> bool:
    """Return whether a convolution itself is computed so: with many weights and few places, in channels-last order."""
    count, _, *sides = features.shape
    height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in sides)
    ordered = weight.is_contiguous(memory_format=torch.channels_last)
    return ordered and has_many_weights(weight) and count * height * width <= FEW_PLACES_FORWARD


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int, padding: int) -> Tensor:
    """Convolve N,inputs,H,W with outputs,inputs,k,k (channels-last), all of one type, to N,outputs,h,w in channels-last
    order."""
    kernel = weight.shape[-1]
    seen = F.pad(features, (padding,) * 4).permute(0, 2, 3, 1).unfold(1, kernel, stride).unfold(2, kernel, stride)
    count, height, width = seen.shape[:3]
    # A row for each place: what lies in its window, as the weights lie.
    rows = seen.permute(0, 1, 2, 4, 5, 3).reshape(count * height * width, -1)
    # Weights come first: a product takes the larger matrix as it lies there. The few results are turned round.
    result = (weight.permute(0, 2, 3, 1).flatten(1) @ rows.t()).t().contiguous()
    if bias is not None:
        result += bias
    return result.view(count, height, width, -1).permute(0, 3, 1, 2)


def gradients(
    features: Tensor, gradient: Tensor, weight: Tensor, *, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of features and weight, each where it is wanted, from that of the result.

    That of the features is torch's own where there are many places.
    """
    how = {"stride": stride, "padding": padding}
    of_features = None
    if wanted[0] and has_few_places(features, gradient, weight):
        of_features = features_gradient(features, gradient, weight.to(features.dtype), **how)
    elif wanted[0]:
        of_features = torch_gradients(gradient, features, weight, **how, wanted=(True, False, False))[0]
    return of_features, weight_gradient(features, gradient, weight, **how) if wanted[1] else None


def features_gradient(features: Tensor, gradient: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Return the gradient of what a convolution was given.

    It is one product of matrices: what every place of the result asks of each place that its kernel met. These are
    summed in fp32.

    Args:
        features: what was convolved, N,inputs,H,W; only its shape and type are looked at.
        gradient: of the result, N,outputs,h,w, in the type of ``features``.
        weight: outputs, inputs, k, k, channels-last, in that type.
        stride: of the convolution.
        padding: of zeros on every side.

    Returns:
        N,inputs,H,W in the type of ``features``.
    """
    inputs, kernel = weight.shape[1:3]
    matrix = weight.permute(0, 2, 3, 1).flatten(1)
    asked = (gradient.permute(0, 2, 3, 1) @ matrix).unflatten(3, (kernel, kernel, inputs))
    height, width = features.shape[2:]
    windows = asked.permute(3, 4, 0, 1, 2, 5)
    return add_windows(windows, sides=(height, width), stride=stride, padding=padding).to(features.dtype)


def weight_gradient(features: Tensor, gradient: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
    """Return the gradient of a convolution's weights: a product of matrices for every place of the kernel.

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
