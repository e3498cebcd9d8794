"""Class ids to the one-hot planes that convolutions take."""

from __future__ import annotations

import torch
from torch import Tensor

from .convolution import autocast_type


def one_hot(mask: Tensor, *, classes: int, weight: Tensor) -> Tensor:
    """Return the planes of a mask in the dtype and the memory format in which a convolution wants them.

    Args:
        mask: class ids (N, H, W), integers in [0, classes).
        classes: number of planes.
        weight: weight of the convolution that reads them. Under autocast the planes have autocast's dtype, which saves
            the cast of a large tensor; else the weight's.

    Returns:
        (N, classes, H, W) of zeros and ones.
    """
    planes = planes_of(mask, classes=classes, dtype=autocast_type(weight.device) or weight.dtype)
    return planes if weight.is_contiguous(memory_format=torch.channels_last) else planes.contiguous()


def planes_of(mask: Tensor, *, classes: int, dtype: torch.dtype) -> Tensor:
    """Return the planes N,classes,H,W of class ids N,H,W, in channels-last order."""
    # Rows of the unit matrix: one pass over the planes, where filling with zeros and writing the ones takes two.
    rows = torch.eye(classes, dtype=dtype, device=mask.device).index_select(0, mask.long().flatten())
    return rows.view(*mask.shape, classes).permute(0, 3, 1, 2)
