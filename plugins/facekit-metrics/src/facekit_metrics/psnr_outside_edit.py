"""Peak signal-to-noise ratio where an edit of the mask should have changed nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation

from .one_task import OneTask
from .options import PsnrOutsideEditOptions
from .per_sample import mean_measurement
from .psnr import CEILING
from .task_options import TaskChoice

NAME = "psnr_outside_edit"


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
    if target.shape != source.shape:
        raise ValueError(f"cannot compare masks of shapes {tuple(target.shape)} and {tuple(source.shape)}")
    if reach < 0:
        raise ValueError(f"reach is {reach}; it cannot be negative")
    differ = (target != source).float().unsqueeze(1)
    return F.max_pool2d(differ, 2 * reach + 1, 1, reach).squeeze(1) > 0


def psnr_where(result: Tensor, photo: Tensor, kept: Tensor) -> Tensor:
    """Return the PSNR of each picture over some of its pixels.

    Args:
        result: (N, 3, H, W) in [-1, 1].
        photo: (N, 3, H, W) in [-1, 1].
        kept: the pixels that count, (N, H, W) bool.

    Returns:
        (N,) float64 in dB, at most the ceiling of ``psnr``; NaN where no pixel counts.

    Raises:
        ValueError: the shapes differ.
    """
    if result.shape != photo.shape or result.shape[-2:] != kept.shape[-2:]:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (result, photo, kept))
        raise ValueError(f"pictures and pixels do not fit each other: {shapes}")
    squares = (result.double() - photo.double()).square().mean(1)
    error = (squares * kept).sum((1, 2)) / kept.sum((1, 2))
    return (10 * torch.log10(4 / error)).clamp_max(CEILING)


class PsnrOutsideEdit(OneTask):
    """The mean PSNR between results and the photos they edit, outside of the edit.

    The photo that is edited is the reference, which travels with its own mask; the edit is where the target mask
    differs from that. Pictures whose masks differ everywhere are left out; the count tells how many were not.

    Args:
        reach: how far the edit is widened, as a share of the picture's side.
        choice: whose results.
    """

    def __init__(self, *, choice: TaskChoice, reach: float = 1 / 32) -> None:
        super().__init__(choice)
        self.reach = reach
        self._seen = 0
        self._values: list[float] = []

    def update(self, observation: Observation) -> None:
        """Take in a batch.

        Raises:
            FacekitError: the results were made without reference photos.
        """
        reference = observation.condition.reference
        if reference is None:
            raise FacekitError(f"{NAME} compares results with the photos they edit, and these have none")
        mask = observation.condition.require_mask()
        kept = ~edited_region(mask, reference.require_mask(), reach=round(self.reach * mask.shape[-1]))
        values = psnr_where(observation.generated.image, reference.image, kept)
        self._seen += len(values)
        self._values += [value for value in values.tolist() if not math.isnan(value)]

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``psnr_outside_edit/TASK``; NaN and a count of 0 when every mask differs everywhere.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._seen:
            raise FacekitError(f"{NAME} was given no results to measure")
        protocol = {
            "channels": "RGB together, sRGB as stored",
            "ceiling": f"{CEILING:g} dB for equal pictures",
            "edit": f"where target mask and the mask of the edited photo differ, widened by {self.reach!r} of the side",
            "task": self.choice.name,
        }
        name = f"{NAME}/{self.choice.name}"
        if not self._values:
            return (Measurement(name, math.nan, "dB", "higher", protocol),)
        return (mean_measurement(name, self._values, unit="dB", better="higher", protocol=protocol),)


def build(options: PsnrOutsideEditOptions, context: BuildContext) -> PsnrOutsideEdit:
    """Build the metric from a recipe's options."""
    return PsnrOutsideEdit(reach=options.reach, choice=options.choice(context))
