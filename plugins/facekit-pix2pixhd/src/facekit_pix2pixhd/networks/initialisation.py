"""The published initialisation."""

from __future__ import annotations

from torch import nn

#: Standard deviation of initial convolution weights in pix2pixHD.
PUBLISHED_WEIGHT_DEVIATION = 0.02


def initialise_as_published(module: nn.Module) -> None:
    """Draw every convolution weight below ``module`` from N(0, 0.02) with torch's default generator.

    Biases keep torch's default initial values, as in the published code.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, mean=0.0, std=PUBLISHED_WEIGHT_DEVIATION)
