"""Convolutions to a few channels, such as the last layer of a generator.

A processor computes 16 outputs at a time. So four neighbours in a row are computed as outputs of one place, by the same
weights shifted, and the gradients as those of the convolution which goes the other way, from the few channels to the
many.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .torch_gradients import torch_gradients

FEW_OUTPUTS, PLACES_AT_ONCE = 4, 4
"""Up to so many channels a convolution has few outputs, and computes so many places of a row at once."""


def fits(features: Tensor, weight: Tensor, *, stride: int, padding: int) -> bool:
    """Return whether a convolution is computed so."""
    outputs, _, _, kernel = weight.shape
    places = features.shape[3] - kernel + 1
    return outputs <= FEW_OUTPUTS and stride == 1 and padding == 0 and kernel > 1 and places % PLACES_AT_ONCE == 0


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve N,inputs,H,W with outputs,inputs,k,k and stride 1, all of one type, to N,outputs,H-k+1,W-k+1."""
    last = PLACES_AT_ONCE - 1
    shifted = torch.cat([F.pad(weight, (shift, last - shift)) for shift in range(PLACES_AT_ONCE)])
    biases = None if bias is None else bias.repeat(PLACES_AT_ONCE)
    found = F.conv2d(features, shifted, biases, (1, PLACES_AT_ONCE)).permute(0, 2, 3, 1)
    # In channels-last order the outputs of neighbours lie one after the other, as those of a wider row do.
    return found.reshape(*found.shape[:2], -1, len(weight)).permute(0, 3, 1, 2)


def gradients(
    features: Tensor, gradient: Tensor, weight: Tensor, *, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of features and weight, each where it is wanted, from that of the result."""
    around = F.pad(gradient, (weight.shape[-1] - 1,) * 4)
    back = weight.to(features.dtype).flip(2, 3).transpose(0, 1)
    of_features = F.conv2d(around, back) if wanted[0] else None
    if not wanted[1]:
        return of_features, None
    turned = torch_gradients(features, around, back, stride=1, padding=0, wanted=(False, True, False))[1]
    assert turned is not None
    return of_features, turned.flip(2, 3).transpose(0, 1).to(weight.dtype)
