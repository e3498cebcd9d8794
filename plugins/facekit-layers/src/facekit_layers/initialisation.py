"""Initial weights, as the published networks have them."""

from __future__ import annotations

from torch import nn

from .mask_norm import RegionDense

PUBLISHED_WEIGHT_DEVIATION = 0.02
"""Standard deviation of initial convolution weights in pix2pix, pix2pixHD and what was built on them."""


def initialise_as_published(module: nn.Module) -> None:
    """Draw every convolution weight below ``module`` from N(0, 0.02) with torch's default generator.

    Biases keep torch's default initial values, as in the published code.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, mean=0.0, std=PUBLISHED_WEIGHT_DEVIATION)


def initialise_xavier(module: nn.Module, *, gain: float) -> None:
    """Draw the weights of every convolution and dense layer from Xavier's normal times ``gain``; biases are 0."""
    for part in module.modules():
        if isinstance(part, RegionDense):
            for weight in part.weight:
                nn.init.xavier_normal_(weight, gain)
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
