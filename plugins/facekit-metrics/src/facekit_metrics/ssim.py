"""Structural similarity (Wang et al., IEEE Transactions on Image Processing, 2004)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Measurement, NoOptions, Observation, Task

from .per_sample import mean_measurement

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def structural_similarity(result: Tensor, photo: Tensor) -> Tensor:
    """Return the mean SSIM of each picture.

    As in the paper: Gaussian window of 11 x 11 with deviation 1.5, K1 = 0.01, K2 = 0.03, local moments weighted by the
    window, windows that lie in the picture only. The three channels are compared one by one and averaged.

    Args:
        result: (N, 3, H, W) in [-1, 1], H and W at least 11.
        photo: (N, 3, H, W) in [-1, 1].

    Returns:
        (N,) float64, at most 1.

    Raises:
        ValueError: the shapes differ, or the pictures are smaller than the window.
    """
    if result.shape != photo.shape:
        raise ValueError(f"cannot compare pictures of shapes {tuple(result.shape)} and {tuple(photo.shape)}")
    if min(result.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels a side, not {tuple(result.shape[-2:])}")
    # On the scale 0..1 the dynamic range L of the paper is 1.
    x, y = (result.double() + 1) / 2, (photo.double() + 1) / 2
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x.square()
    variance_y = _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x.square() + mean_y.square() + c1) * (variance_x + variance_y + c2)
    )
    return similarity.mean((1, 2, 3))


def _blur(image: Tensor) -> Tensor:
    """Return local means under the window, (N, C, H - 10, W - 10); the window is a product of two 1-D ones."""
    offsets = torch.arange(WINDOW, dtype=image.dtype, device=image.device) - WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = window / window.sum()
    channels = image.shape[1]
    rows = F.conv2d(image, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


class SSIM:
    """The mean SSIM of reconstructions."""

    def __init__(self) -> None:
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Faces from their own mask in their own look."""
        return ("reconstruction",)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self._values += structural_similarity(observation.generated.image, observation.target).tolist()

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``ssim``. Raises FacekitError when nothing was observed."""
        protocol = {
            "window": f"Gaussian {WINDOW}x{WINDOW}, deviation {SIGMA}, inside the picture",
            "constants": f"K1 {K1}, K2 {K2}",
            "channels": "R, G and B one by one, averaged",
        }
        return (mean_measurement("ssim", self._values, unit="", better="higher", protocol=protocol),)


def build(options: NoOptions, context: BuildContext) -> SSIM:
    """Build the metric."""
    return SSIM()
