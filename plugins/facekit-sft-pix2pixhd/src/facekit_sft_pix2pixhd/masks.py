"""What the networks read of a mask: one-hot planes, planes with balanced areas, the colours of its regions."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit_layers import autocast_type

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
    dtype = autocast_type(weight.device) or weight.dtype
    # Rows of the unit matrix: one pass over the planes, where filling with zeros and writing the ones takes two.
    rows = torch.eye(classes, dtype=dtype, device=mask.device).index_select(0, mask.long().flatten())
    planes = rows.view(*mask.shape, classes).permute(0, 3, 1, 2)  # channels_last without a copy
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


COLOURS_A_REGION = 4
"""Numbers that :func:`region_colours` gives for a region."""


def region_colours(photo: Tensor, planes: Tensor) -> Tensor:
    """Return the mean colour of every region of a photo, and whether the region is there.

    Args:
        photo: (N, 3, H, W) in [-1, 1].
        planes: (N, classes, H, W), positive inside each region and zero elsewhere.

    Returns:
        (N, 4 * classes) float32: red, green, blue in [-1, 1] (zeros for absent regions) and 1 or 0.
    """
    with torch.autocast(photo.device.type, enabled=False):
        member = (planes > 0).flatten(2).float()
        counts = member.sum(2, keepdim=True)
        means = member @ photo.float().flatten(2).transpose(1, 2) / counts.clamp_min(1)
    return torch.cat([means, (counts > 0).float()], dim=2).flatten(1)
