"""G2, the local enhancer of pix2pixHD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import ReflectedConvolution, Upsampling, doubling_convolution, initialise_as_published

from .global_generator import GlobalGenerator
from .layers import (
    ResidualBlock,
    normalised_relu,
)
from .recompute import plainly


class LocalEnhancer(nn.Module):
    """G2 of pix2pixHD (Wang et al., CVPR 2018): G1 at half resolution, refined at full resolution.

    Layer plan: reflected 7x7 to ``filters``, IN, ReLU and 3/2/1 to ``2 * filters``, IN, ReLU on the
    full-resolution input; plus G1's last features on the average-pooled (3/2/1) input; ``local_blocks``
    residual blocks; transposed 3/2/1 to ``filters``, IN, ReLU; reflected 7x7 to ``outputs``, tanh.

    G1 stands inside as ``global_generator`` without its final convolution (it is removed: nothing would
    train it).

    Args:
        inputs: channels of the input.
        outputs: channels of the picture.
        filters: channels at full resolution (32 as published); G1 gets twice as many.
        global_downsamplings: downsamplings of G1.
        global_blocks: residual blocks of G1.
        local_blocks: residual blocks of the enhancer (3 as published).
        upsampling: how both double height and width; ``resize`` in place of the transposed convolutions.
    """

    def __init__(
        self,
        *,
        inputs: int = 19,
        outputs: int = 3,
        filters: int = 32,
        global_downsamplings: int = 4,
        global_blocks: int = 9,
        local_blocks: int = 3,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        self.global_generator = GlobalGenerator(
            inputs=inputs,
            outputs=outputs,
            filters=2 * filters,
            downsamplings=global_downsamplings,
            blocks=global_blocks,
            upsampling=upsampling,
        )
        del self.global_generator.head
        self.stem = ReflectedConvolution(inputs, filters, kernel=7)
        self.down = nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(2 * filters) for _ in range(local_blocks))
        self.up = doubling_convolution(2 * filters, filters, upsampling)
        self.head = ReflectedConvolution(filters, outputs, kernel=7)
        self.recompute: Callable[..., Any] = plainly
        initialise_as_published(self)

    def forward(self, condition: Tensor) -> Tensor:
        """Draw the picture.

        Args:
            condition: N,inputs,H,W; H and W divisible by 2**(global_downsamplings + 1) and at least twice
            that.

        Returns:
            N,outputs,H,W in [-1, 1].

        Raises:
            ValueError: when height or width are odd, or half of them does not fit G1.
        """
        height, width = condition.shape[-2:]
        if height % 2 or width % 2:
            raise ValueError(f"a mask of {height}x{width} cannot be halved: height and width must be even")
        half = F.avg_pool2d(condition, 3, stride=2, padding=1, count_include_pad=False)
        features: Tensor = self.recompute(self._enter, condition)
        features = features + self.global_generator.features(half)
        for block in self.blocks:
            features = self.recompute(block, features)
        picture: Tensor = self.recompute(self._leave, features)
        return picture

    def _enter(self, condition: Tensor) -> Tensor:
        return normalised_relu(self.down(normalised_relu(self.stem(condition))))

    def _leave(self, features: Tensor) -> Tensor:
        return torch.tanh(self.head(normalised_relu(self.up(features))))

    def load_global(self, generator: GlobalGenerator) -> None:
        """Copy a trained G1 into the enhancer; its final convolution is left out.

        Raises:
            RuntimeError: when the layers of ``generator`` have other shapes than the G1 inside (torch names them).
        """
        state = {name: value for name, value in generator.state_dict().items() if not name.startswith("head.")}
        self.global_generator.load_state_dict(state)

    def set_global_trainable(self, trainable: bool) -> None:
        """Fix G1 (``False``) for the first epochs of G2's training, or let it train along (``True``)."""
        self.global_generator.requires_grad_(trainable)
