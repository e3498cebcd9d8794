"""Initial weights: as published, or so that the reference's signal reaches the style vector."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from .layers import SFT_LEAKY_SLOPE, SpatialFeatureTransform

#: ``published``: N(0, 0.02) for every weight. ``scale_preserving``: He in the encoders, AdaIN scale
#: starting at 1.
Initialisation = Literal["published", "scale_preserving"]


def initialise_he(convolution: nn.Module, *, slope: float = 0.0, fan_in: int | None = None, gain: float = 1.0) -> None:
    """Draw the weight from a normal that keeps the mean square of its input (He et al., ICCV 2015); bias 0.

    Args:
        convolution: the layer.
        slope: negative slope of the activation after it: 0 for ReLU, 1 for none.
        fan_in: how many inputs of one output are not zero; by default all of them.
        gain: factor on the weight.

    Raises:
        TypeError: when ``convolution`` is no ``nn.Conv2d``.
    """
    if not isinstance(convolution, nn.Conv2d):
        raise TypeError(f"He initialisation is for nn.Conv2d, not {type(convolution).__name__}")
    inputs = fan_in if fan_in is not None else convolution.weight[0].numel()
    nn.init.normal_(convolution.weight, std=gain * math.sqrt(2 / ((1 + slope**2) * inputs)))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def initialise_sft_he(transform: SpatialFeatureTransform, *, gain: float = 1.0) -> None:
    """He initialisation of the four 1x1 convolutions of a spatial feature transform.

    Args:
        transform: the transform.
        gain: factor on the weights that give gamma and beta. A small one starts a residual transform near the identity:
            the reference's colours come through before the mask has learnt to change them.
    """
    for hidden in (transform.gamma_hidden, transform.beta_hidden):
        initialise_he(hidden, slope=SFT_LEAKY_SLOPE)
    for last in (transform.gamma, transform.beta):
        initialise_he(last, slope=1.0, gain=gain)
