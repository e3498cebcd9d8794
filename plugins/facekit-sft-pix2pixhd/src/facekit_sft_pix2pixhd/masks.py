"""What the networks read of a mask beside one-hot planes: planes with balanced areas, the colours of its regions."""

from __future__ import annotations

import torch
from torch import Tensor

BALANCED_SHARE = 0.2
"""Share of the picture at which an area-balanced region has the value 1."""

LARGEST_BALANCED_VALUE = 5.0
"""Value of regions that cover 4 % of the picture or less: what is only a few pixels must not drown the rest."""


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
