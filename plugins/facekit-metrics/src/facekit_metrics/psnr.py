"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Measurement, NoOptions, Observation, Task

from .per_sample import mean_measurement

CEILING = 100.0
"""Equal pictures have no noise; their ratio, which is infinite, is counted as this."""


def peak_signal_to_noise_ratio(result: Tensor, photo: Tensor) -> Tensor:
    """Return the PSNR of each picture over its three channels: 10 log10(range^2 / mean squared error).

    Args:
        result: (N, 3, H, W) in [-1, 1].
        photo: (N, 3, H, W) in [-1, 1].

    Returns:
        (N,) float64 in dB, at most :data:`CEILING`.

    Raises:
        ValueError: the shapes differ.
    """
    if result.shape != photo.shape:
        raise ValueError(f"cannot compare pictures of shapes {tuple(result.shape)} and {tuple(photo.shape)}")
    error = (result.double() - photo.double()).square().mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).clamp_max(CEILING)


class PSNR:
    """The mean PSNR of reconstructions, picture by picture."""

    def __init__(self) -> None:
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Faces from their own mask in their own look."""
        return ("reconstruction",)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self._values += peak_signal_to_noise_ratio(observation.generated.image, observation.target).tolist()

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``psnr``. Raises FacekitError when nothing was observed."""
        protocol = {"channels": "RGB together, sRGB as stored", "ceiling": f"{CEILING:g} dB for equal pictures"}
        return (mean_measurement("psnr", self._values, unit="dB", better="higher", protocol=protocol),)


def build(options: NoOptions, context: BuildContext) -> PSNR:
    """Build the metric."""
    return PSNR()
