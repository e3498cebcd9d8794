"""PSNR and SSIM: of reconstructions, and PSNR where an edit of the mask should have changed nothing. Torch-free until
they are used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation
from facekit.registry import metric

from .measurements import OneTask, mean_measurement, nothing_to_measure
from .options import PsnrOutsideEditOptions, TaskChoice

if TYPE_CHECKING:
    from torch import Tensor

CEILING = 100.0
"""Equal images have no noise; their ratio, which is infinite, is counted as this, in dB."""

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
"""SSIM's window, in pixels, and constants."""

_PSNR_PROTOCOL = {"channels": "RGB together, sRGB as stored", "ceiling": f"{CEILING:g} dB for equal pictures"}


def _require_one_shape(result: Tensor, photo: Tensor) -> None:
    if result.shape != photo.shape:
        raise ValueError(f"cannot compare pictures of shapes {tuple(result.shape)} and {tuple(photo.shape)}")


def peak_signal_to_noise_ratio(result: Tensor, photo: Tensor) -> Tensor:
    """Return the PSNR of each image over its three channels: 10 log10(range^2 / mean squared error).

    Args:
        result: (N, 3, H, W) in [-1, 1].
        photo: (N, 3, H, W) in [-1, 1].

    Returns:
        (N,) float64 in dB, at most :data:`CEILING`.

    Raises:
        ValueError: the shapes differ.
    """
    import torch

    _require_one_shape(result, photo)
    error = (result.double() - photo.double()).square().mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).clamp_max(CEILING)


def psnr_where(result: Tensor, photo: Tensor, kept: Tensor) -> Tensor:
    """Return the PSNR of each image over some of its pixels.

    Args:
        result: (N, 3, H, W) in [-1, 1].
        photo: (N, 3, H, W) in [-1, 1].
        kept: the pixels that count, (N, H, W) bool.

    Returns:
        (N,) float64 in dB, at most :data:`CEILING`; NaN where no pixel counts.

    Raises:
        ValueError: the shapes differ.
    """
    import torch

    if result.shape != photo.shape or result.shape[-2:] != kept.shape[-2:]:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (result, photo, kept))
        raise ValueError(f"pictures and pixels do not fit each other: {shapes}")
    squares = (result.double() - photo.double()).square().mean(1)
    error = (squares * kept).sum((1, 2)) / kept.sum((1, 2))
    return (10 * torch.log10(4 / error)).clamp_max(CEILING)


def edited_region(target: Tensor, source: Tensor, *, reach: int) -> Tensor:
    """Return the pixels at which two masks differ, and those near them.

    Args:
        target: class ids (N, H, W).
        source: class ids (N, H, W).
        reach: how far the region is widened, in pixels, to all sides and corners; 0 leaves it.

    Returns:
        (N, H, W) bool.

    Raises:
        ValueError: the shapes differ, or ``reach`` is negative.
    """
    from torch.nn import functional as F

    if target.shape != source.shape:
        raise ValueError(f"cannot compare masks of shapes {tuple(target.shape)} and {tuple(source.shape)}")
    if reach < 0:
        raise ValueError(f"reach is {reach}; it cannot be negative")
    differ = (target != source).float().unsqueeze(1)
    return F.max_pool2d(differ, 2 * reach + 1, 1, reach).squeeze(1) > 0


def structural_similarity(result: Tensor, photo: Tensor) -> Tensor:
    """Return the mean SSIM of each image.

    As in the paper: Gaussian window of 11 x 11 with deviation 1.5, K1 = 0.01, K2 = 0.03, local moments weighted by the
    window, windows that lie in the image only. The three channels are compared one by one and averaged.

    Args:
        result: (N, 3, H, W) in [-1, 1], H and W at least 11.
        photo: (N, 3, H, W) in [-1, 1].

    Returns:
        (N,) float64, at most 1.

    Raises:
        ValueError: the shapes differ, or the images are smaller than the window.
    """
    import torch
    from torch.nn import functional as F

    _require_one_shape(result, photo)
    if min(result.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels a side, not {tuple(result.shape[-2:])}")
    # On the scale 0..1 the dynamic range L of the paper is 1.
    x, y = (result.double() + 1) / 2, (photo.double() + 1) / 2
    offsets = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = window / window.sum()
    channels = x.shape[1]

    def blur(image: Tensor) -> Tensor:
        """Local means under the window, (N, C, H - 10, W - 10); the window is a product of two 1-D ones."""
        rows = F.conv2d(image, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(rows, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x.square()
    variance_y = blur(y * y) - mean_y.square()
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x.square() + mean_y.square() + c1) * (variance_x + variance_y + c2)
    )
    return similarity.mean((1, 2, 3))


@metric("metrics/psnr", needs=("image", "generated"), better="higher", unit="dB", protocol=_PSNR_PROTOCOL)
def psnr(observation: Observation) -> Tensor:
    """Peak signal-to-noise ratio of the reconstruction."""
    return peak_signal_to_noise_ratio(observation.generated.image, observation.target)


@metric(
    "metrics/ssim",
    needs=("image", "generated"),
    better="higher",
    smallest_size=WINDOW,
    protocol={
        "window": f"Gaussian {WINDOW}x{WINDOW}, deviation {SIGMA}, inside the picture",
        "constants": f"K1 {K1}, K2 {K2}",
        "channels": "R, G and B one by one, averaged",
    },
)
def ssim(observation: Observation) -> Tensor:
    """Structural similarity of the reconstruction.

    Paper: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE Transactions on
    Image Processing, 2004
    """
    return structural_similarity(observation.generated.image, observation.target)


class PsnrOutsideEdit(OneTask):
    """The mean PSNR between results and the photos they edit, outside of the edit.

    The photo that is edited is the reference, which travels with its own mask; the edit is where the target mask
    differs from that. Images whose masks differ everywhere are left out; the count tells how many were not.

    Args:
        choice: whose results.
        reach: how far the edit is widened, as a share of the image's side.
    """

    def __init__(self, *, choice: TaskChoice, reach: float = 1 / 32) -> None:
        super().__init__(choice)
        self.reach = reach
        self._values: list[float] = []

    def update(self, observation: Observation) -> None:
        """Take in a batch. Raises FacekitError when the results were made without reference photos."""
        reference = observation.condition.reference
        if reference is None:
            raise FacekitError("psnr_outside_edit compares results with the photos they edit, and these have none")
        mask = observation.condition.require_mask()
        kept = ~edited_region(mask, reference.require_mask(), reach=round(self.reach * mask.shape[-1]))
        self._values += psnr_where(observation.generated.image, reference.image, kept).tolist()

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``psnr_outside_edit/TASK``; NaN and a count of 0 when every mask differs everywhere.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._values:
            raise nothing_to_measure("psnr_outside_edit")
        protocol = {
            **_PSNR_PROTOCOL,
            "edit": f"where target mask and the mask of the edited photo differ, widened by {self.reach!r} of the side",
            "task": self.choice.name,
        }
        values = [value for value in self._values if not math.isnan(value)]
        name = f"psnr_outside_edit/{self.choice.name}"
        return (mean_measurement(name, values, unit="dB", better="higher", protocol=protocol, none=True),)


def build_outside_edit(options: PsnrOutsideEditOptions, context: BuildContext) -> PsnrOutsideEdit:
    """Build ``psnr_outside_edit``."""
    return PsnrOutsideEdit(reach=options.reach, choice=options.choice(context))
