"""Means over the regions of a mask, and their way back to pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOW = 2000
"""So many samples, about the last ones, the mean of a region is taken over: features change while they are learnt."""


def average_by_region(features: Tensor, planes: Tensor) -> Tensor:
    """Mean of the features over each region; 0 for regions that the mask does not have.

    Sums are taken in fp32, because a region may have tens of thousands of pixels.

    Args:
        features: N,D,H,W.
        planes: N,R,H,W of zeros and ones: the pixels of each region.

    Returns:
        N,R,D in fp32.
    """
    with torch.autocast(features.device.type, enabled=False):
        regions = planes.float().flatten(2)
        sums = regions @ features.float().flatten(2).transpose(1, 2)
        return sums / regions.sum(dim=2, keepdim=True).clamp(min=1)


def spread_over_regions(numbers: Tensor, planes: Tensor) -> Tensor:
    """Spread the numbers of each region over all of its pixels: the inverse of :func:`average_by_region`.

    Args:
        numbers: N,R,D.
        planes: N,R,H,W of zeros and ones; every pixel belongs to one region.

    Returns:
        N,D,H,W in the dtype of ``planes``.
    """
    return torch.einsum("nrhw,nrd->ndhw", planes, numbers.to(planes.dtype))


class RegionMeans(nn.Module):
    """The mean features of each region; a region that a sample lacks has the mean of those that had it in training.

    Before any sample had it, that is zeros.

    Args:
        classes: how many regions.
        channels: channels of the features.
    """

    mean: Tensor
    seen: Tensor

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(classes, channels))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))

    def forward(self, features: Tensor, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Average.

        Args:
            features: N,channels,H,W.
            planes: N,classes,H,W, the one-hot mask at that size.

        Returns:
            N,classes,channels in fp32, and N,classes: which regions the sample has.
        """
        present = planes.flatten(2).amax(2) > 0
        return self.fill(average_by_region(features, planes), present), present

    def fill(self, codes: Tensor, present: Tensor) -> Tensor:
        """Return codes (N, classes, channels) in fp32, in which regions that a sample lacks have the mean.

        Args:
            codes: N,classes,channels; those of absent regions may be anything.
            present: N,classes: which regions the samples have.
        """
        codes, present = codes.float(), present[..., None]
        found = torch.where(present, codes, self.mean)
        if self.training:
            with torch.no_grad():
                count = present.sum(0)
                self.seen += count[:, 0]
                share = (count / self.seen.clamp(1, WINDOW)[:, None]).clamp_max(1)
                sums = codes.detach().masked_fill(~present, 0).sum(0)
                self.mean.lerp_(sums / count.clamp_min(1), share)
        return found
