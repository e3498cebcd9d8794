"""How well evaluators do, and what evaluators say of results: counts over all photos, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SegmentationFigures:
    """Figures over a set of photos.

    Args:
        pixel_accuracy: share of pixels in the right class.
        mean_iou: intersection over union, averaged over the classes that occur in the truth.
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
        raise ValueError("there are no pixels to measure")
    right = matrix.diag().double()
    union = matrix.sum(0).double() + matrix.sum(1).double() - right
    iou = right / union  # NaN where a class occurs on neither side
    return SegmentationFigures(
        pixel_accuracy=float(right.sum() / total),
        mean_iou=float(iou[matrix.sum(1) > 0].mean()),
        iou=tuple(iou.tolist()),
    )


@dataclass(frozen=True)
class AttributeFigures:
    """Figures of one attribute over a set of photos.

    Args:
        accuracy: share of right answers, (TP + TN) / all.
        balanced_accuracy: mean of the share of right answers among those that have it and among those that lack it; NaN
            when one of the two does not occur.
        count: how many photos.
    """

    accuracy: float
    balanced_accuracy: float
    count: int


def attribute_figures(truth: Tensor, answer: Tensor) -> AttributeFigures:
    """Return the figures of answers (N,) bool to truths (N,) bool. Raises ValueError when there are none."""
    if not len(truth):
        raise ValueError("there are no photos to measure")
    right = truth == answer
    having, lacking = right[truth].double(), right[~truth].double()
    return AttributeFigures(
        accuracy=float(right.double().mean()),
        balanced_accuracy=float((having.mean() + lacking.mean()) / 2),
        count=len(truth),
    )
