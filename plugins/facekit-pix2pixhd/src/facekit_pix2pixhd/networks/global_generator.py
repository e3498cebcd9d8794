"""G1, the global generator of pix2pixHD."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from facekit_layers import ReflectedConvolution, Upsampling, doubling_convolution, initialise_as_published

from .layers import (
    ResidualBlock,
    normalised_relu,
)
from .recompute import plainly


class GlobalGenerator(nn.Module):
    """G1 of pix2pixHD (Wang et al., CVPR 2018): one-hot mask to photo.

    Layer plan, with IN for instance norm without affine: reflected 7x7 to ``filters``, IN, ReLU;
    ``downsamplings`` times 3/2/1 to twice the channels, IN, ReLU; ``blocks`` residual blocks;
    ``downsamplings`` times transposed 3/2/1 to half the channels, IN, ReLU; reflected 7x7 to ``outputs``,
    tanh.

    Args:
        inputs: channels of the input: classes of the one-hot mask, plus 3 when features are joined to it.
        outputs: channels of the picture.
        filters: channels at full resolution (64 as published).
        downsamplings: how often height and width are halved (4 as published).
        blocks: residual blocks (9 as published).
        upsampling: how the decoder doubles height and width; ``resize`` in place of the transposed convolutions.
    """

    def __init__(
        self,
        *,
        inputs: int = 19,
        outputs: int = 3,
        filters: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.filters = filters
        self.downsamplings = downsamplings
        widths = [filters * 2**level for level in range(downsamplings + 1)]
        self.stem = ReflectedConvolution(inputs, filters, kernel=7)
        self.downs = nn.ModuleList(nn.Conv2d(wide, wider, 3, stride=2, padding=1) for wide, wider in pairwise(widths))
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(blocks))
        self.ups = nn.ModuleList(
            doubling_convolution(2 * narrow, narrow, upsampling) for narrow in reversed(widths[:-1])
        )
        self.head = ReflectedConvolution(filters, outputs, kernel=7)
        self.recompute: Callable[..., Any] = plainly
        initialise_as_published(self)

    def features(self, condition: Tensor) -> Tensor:
        """The last features before the final convolution.

        Args:
            condition: N,inputs,H,W; H and W divisible by 2**downsamplings and at least twice that.

        Returns:
            N,filters,H,W, not negative.

        Raises:
            ValueError: when height or width do not fit the number of downsamplings.
        """
        step = 2**self.downsamplings
        height, width = condition.shape[-2:]
        if height % step or width % step or min(height, width) < 2 * step:
            raise ValueError(
                f"a mask of {height}x{width} does not fit {self.downsamplings} downsamplings: "
                f"height and width must be multiples of {step} and at least {2 * step}"
            )
        # The first and the last level, by far the largest, are parts of their own.
        features: Tensor = self.recompute(self._enter, condition)
        features = self.recompute(self._convolve, self.downs[1:], features)
        for block in self.blocks:
            features = self.recompute(block, features)
        features = self.recompute(self._convolve, self.ups[:-1], features)
        enlarged: Tensor = self.recompute(self._convolve, self.ups[-1:], features)
        return enlarged

    def _enter(self, condition: Tensor) -> Tensor:
        return self._convolve(self.downs[:1], normalised_relu(self.stem(condition)))

    @staticmethod
    def _convolve(levels: Iterable[nn.Module], features: Tensor) -> Tensor:
        for convolution in levels:
            features = normalised_relu(convolution(features))
        return features

    def _leave(self, features: Tensor) -> Tensor:
        return torch.tanh(self.head(features))

    def forward(self, condition: Tensor) -> Tensor:
        """Draw the picture.

        Args:
            condition: N,inputs,H,W; see :meth:`features`.

        Returns:
            N,outputs,H,W in [-1, 1].

        Raises:
            ValueError: when height or width do not fit the number of downsamplings.
        """
        picture: Tensor = self.recompute(self._leave, self.features(condition))
        return picture
