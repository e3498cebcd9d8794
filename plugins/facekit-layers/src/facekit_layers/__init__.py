"""Layers of generative networks: torch's own numbers, fast in channels-last on CPUs and repeatable on CUDA.

A library that plugins build networks of; it knows nothing of facekit.
"""

from .convolution import (
    DoublingConvolution,
    HalvingConvolution,
    ReflectedConvolution,
    ResizeConvolution,
    Upsampling,
    autocast_type,
    doubling_convolution,
)
from .functions import convolve, double
from .norm import INSTANCE_NORM_EPSILON, instance_norm
from .reflection import reflect

__all__ = [
    "INSTANCE_NORM_EPSILON",
    "DoublingConvolution",
    "HalvingConvolution",
    "ReflectedConvolution",
    "ResizeConvolution",
    "Upsampling",
    "autocast_type",
    "convolve",
    "double",
    "doubling_convolution",
    "instance_norm",
    "reflect",
]
