"""The feature encoder of pix2pixHD: a few numbers for every region of a photo."""

from __future__ import annotations

from torch import Tensor, nn

from facekit_layers import average_by_region

from .global_generator import GlobalGenerator


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
