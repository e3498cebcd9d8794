"""Layers of generative networks: torch's own numbers, fast in channels-last on CPUs and repeatable on CUDA.

A library that plugins build networks of; it knows nothing of facekit.
"""

from .convolution import ReflectedConvolution, ResizeConvolution, Upsampling, doubling_convolution
from .equalised import EqualisedConvolution, EqualisedTransposedConvolution, pixel_norm
from .norm import instance_norm
from .planes import one_hot

__all__ = [
    "EqualisedConvolution",
    "EqualisedTransposedConvolution",
    "ReflectedConvolution",
    "ResizeConvolution",
    "Upsampling",
    "doubling_convolution",
    "instance_norm",
    "one_hot",
    "pixel_norm",
]
