"""Layers of generative networks: torch's own numbers, fast in channels-last on CPUs and repeatable on CUDA.

A library that plugins build networks of; it knows nothing of facekit.
"""

from .convolution import HalvingConvolution, ReflectedConvolution, ResizeConvolution, Upsampling, doubling_convolution
from .equalised import (
    EqualisedConvolution,
    EqualisedDense,
    EqualisedTransposedConvolution,
    pixel_norm,
    with_deviation,
)
from .initialisation import PUBLISHED_WEIGHT_DEVIATION, initialise_as_published, initialise_xavier
from .mask_norm import CladeNorm, MaskBlock, RegionDense, SeanNorm, SpadeNorm
from .norm import INSTANCE_NORM_EPSILON, instance_norm
from .planes import one_hot, ordered_for
from .regions import RegionMeans, average_by_region, spread_over_regions

__all__ = [
    "INSTANCE_NORM_EPSILON",
    "PUBLISHED_WEIGHT_DEVIATION",
    "CladeNorm",
    "EqualisedConvolution",
    "EqualisedDense",
    "EqualisedTransposedConvolution",
    "HalvingConvolution",
    "MaskBlock",
    "ReflectedConvolution",
    "RegionDense",
    "RegionMeans",
    "ResizeConvolution",
    "SeanNorm",
    "SpadeNorm",
    "Upsampling",
    "average_by_region",
    "doubling_convolution",
    "initialise_as_published",
    "initialise_xavier",
    "instance_norm",
    "one_hot",
    "ordered_for",
    "pixel_norm",
    "spread_over_regions",
    "with_deviation",
]
