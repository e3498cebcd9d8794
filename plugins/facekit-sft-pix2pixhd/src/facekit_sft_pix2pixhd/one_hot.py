"""Class ids to the one-hot planes that convolutions take."""

from __future__ import annotations

import torch
from torch import Tensor

BALANCED_SHARE = 0.2
"""Share of the picture at which an area-balanced region has the value 1."""

LARGEST_BALANCED_VALUE = 5.0
"""Value of regions that cover 4 % of the picture or less: what is only a few pixels must not drown the rest."""


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
    device = weight.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    planes = torch.zeros((*mask.shape, classes), dtype=dtype, device=mask.device)
    planes.scatter_(3, mask.long().unsqueeze(3), 1.0)
    planes = planes.permute(0, 3, 1, 2)  # channels_last without a copy
    return planes if weight.is_contiguous(memory_format=torch.channels_last) else planes.contiguous()


def balance_areas(planes: Tensor) -> Tensor:
    """Return planes in which every region has the same sum: the value of a region is the larger, the smaller it is.

    A mean over the picture is the sum over a region divided by the picture's area. Where regions are weighted by their
    own area first, it is the mean over the region: the mean colour of hair, say, apart from how much hair there is.

    Args:
        planes: one-hot planes (N, classes, H, W).

    Returns:
        (N, classes, H, W) in dtype and memory format of ``planes``.
    """
    shares = planes.mean(dim=(2, 3), keepdim=True, dtype=torch.float32)
    values = (BALANCED_SHARE / shares.clamp_min(1e-6)).clamp_max(LARGEST_BALANCED_VALUE)
    return planes * values.to(planes.dtype)
