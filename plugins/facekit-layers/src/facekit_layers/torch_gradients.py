"""The gradients of a convolution as torch computes them."""

from __future__ import annotations

import torch
from torch import Tensor


def torch_gradients(
    gradient: Tensor,
    features: Tensor,
    weight: Tensor,
    *,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool, bool],
    transposed: int | None = None,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return torch's own gradients of a convolution: of features, weight and bias, None for those not wanted.

    They can be differentiated again. Weights in a wider type than the features are cast, and their gradient is cast
    back.

    Args:
        gradient: of the result.
        features: what was convolved.
        weight: of the convolution, square.
        stride: of the convolution.
        padding: of zeros on every side.
        wanted: which of the three are.
        transposed: the output padding of a transposed convolution; None for any other.
    """
    strides, paddings, more = ((side, side) for side in (stride, padding, transposed or 0))
    biases = [len(weight) if transposed is None else weight.shape[1]]
    narrow = weight.to(features.dtype)
    of_features, of_weight, of_bias = torch.ops.aten.convolution_backward(
        gradient, features, narrow, biases, strides, paddings, (1, 1), transposed is not None, more, 1, wanted
    )
    return of_features, None if of_weight is None else of_weight.to(weight.dtype), of_bias
