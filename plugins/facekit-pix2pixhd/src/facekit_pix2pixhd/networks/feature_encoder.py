"""The feature encoder of pix2pixHD: a few numbers for every region of a photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .global_generator import GlobalGenerator


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


class FeatureEncoder(nn.Module):
    """Photo to a few numbers a region (section 3.4 of Wang et al., CVPR 2018).

    An encoder-decoder of G1's layers without residual blocks gives a feature map in [-1, 1] as large as the photo; the
    map is averaged over each region of the mask.

    Args:
        features: numbers a region (3 as published).
        filters: channels at full resolution (16 as published).
        downsamplings: how often height and width are halved (4 as published).
    """

    def __init__(self, *, features: int = 3, filters: int = 16, downsamplings: int = 4) -> None:
        super().__init__()
        self.generator = GlobalGenerator(
            inputs=3, outputs=features, filters=filters, downsamplings=downsamplings, blocks=0
        )

    def forward(self, photo: Tensor, planes: Tensor) -> Tensor:
        """Encode a photo.

        Args:
            photo: N,3,H,W in [-1, 1]; sizes as :class:`GlobalGenerator` takes them.
            planes: N,R,H,W, the one-hot mask of the same photo.

        Returns:
            N,R,features in fp32, in [-1, 1].
        """
        return average_by_region(self.generator(photo), planes)
