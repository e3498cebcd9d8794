"""Class ids to the one-hot planes that convolutions take, and the order in memory that they take them in."""

from __future__ import annotations

import torch
from torch import Tensor


def one_hot(mask: Tensor, *, classes: int, weight: Tensor) -> Tensor:
    """Return the planes of a mask in the dtype and the memory format in which a convolution wants them.

    Args:
        mask: class ids (N, H, W), integers in [0, classes).
        classes: number of planes.
        weight: weight of the convolution that reads them. Under autocast the planes have autocast's dtype, which saves
            the cast of a large tensor; else the weight's.

    Returns:
        (N, classes, H, W) of zeros and ones.

    Raises:
        IndexError: an id is out of range, on the CPU.
    """
    dtype = _autocast_dtype(weight.device) or weight.dtype
    # Rows of the unit matrix: one pass over the planes, where filling with zeros and writing the ones takes two.
    rows = torch.eye(classes, dtype=dtype, device=mask.device).index_select(0, mask.long().flatten())
    planes = rows.view(*mask.shape, classes).permute(0, 3, 1, 2)
    return planes if weight.is_contiguous(memory_format=torch.channels_last) else planes.contiguous()


def ordered_for(weight: Tensor, features: Tensor) -> Tensor:
    """Return features (N, C, H, W) in channels-last order where a convolution's weight is, else as they are.

    Where it is and they are not, every convolution that follows would reorder them on its own.
    """
    last = torch.channels_last
    return features.contiguous(memory_format=last) if weight.is_contiguous(memory_format=last) else features


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the type that autocast computes convolutions in on a device; None where it is off."""
    # Compiled code cannot ask whether a device knows autocast; those that are compiled for do.
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type)
    return torch.get_autocast_dtype(device.type) if known and torch.is_autocast_enabled(device.type) else None
