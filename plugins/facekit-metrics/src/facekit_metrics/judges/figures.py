"""How well a segmenter does: one confusion matrix over all photos, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SegmentationFigures:
    """Figures over a set of photos.

    Args:
        pixel_accuracy: share of pixels in the right class.
        mean_iou: intersection over union, averaged over the classes that occur in truth or answer.
        iou: by class id; NaN for classes that do not occur.
    """

    pixel_accuracy: float
    mean_iou: float
    iou: tuple[float, ...]


def confusion(truth: Tensor, answer: Tensor, classes: int) -> Tensor:
    """Return counts (classes, classes) int64: rows are what is, columns what was said."""
    pairs = truth.flatten().long() * classes + answer.flatten().long()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def figures_of(matrix: Tensor) -> SegmentationFigures:
    """Return the figures of a confusion matrix. Raises ValueError for one without a single pixel."""
    total = int(matrix.sum())
    if total == 0:
        raise ValueError("there are no pixels to judge")
    right = matrix.diag().double()
    union = matrix.sum(0).double() + matrix.sum(1).double() - right
    iou = right / union  # NaN where a class occurs on neither side
    return SegmentationFigures(
        pixel_accuracy=float(right.sum() / total),
        mean_iou=float(iou[union > 0].mean()),
        iou=tuple(iou.tolist()),
    )
