"""How well evaluators do, and what evaluators say of results: counts over all photos, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def confusion(truth: Tensor, answer: Tensor, classes: int) -> Tensor:
    """Return counts (classes, classes) int64: rows are what is, columns what was said."""
    pairs = truth.flatten().long() * classes + answer.flatten().long()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def segmentation_figures(matrix: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return the figures of a confusion matrix, 0 to 1.

    Returns:
        ``pixel_accuracy``, the share of pixels in the right class; ``iou/CLASS``, intersection over union of each class
        that occurs on either side; ``mean_iou``, its mean over the classes that occur in the truth.

    Raises:
        ValueError: there is not a single pixel.
    """
    total = int(matrix.sum())
    if total == 0:
        raise ValueError("there are no pixels to measure")
    right = matrix.diag().double()
    iou = right / (matrix.sum(0).double() + matrix.sum(1).double() - right)  # NaN where a class occurs on neither side
    mean = float(iou[matrix.sum(1) > 0].mean())
    classes = {f"iou/{name}": value for name, value in zip(names, iou.tolist(), strict=True) if not math.isnan(value)}
    return {"pixel_accuracy": float(right.sum() / total), "mean_iou": mean, **classes}


def balanced_accuracy(truth: Tensor, answer: Tensor) -> float:
    """Return the mean of the shares of right answers (N,) bool among those that have it, and among those that lack it;
    NaN when one of the two does not occur."""
    right = (truth == answer).double()
    return float((right[truth].mean() + right[~truth].mean()) / 2)


def attribute_figures(truth: Tensor, answer: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return the figures of answers to truths, (N, A) bool, 0 to 1.

    Returns:
        ``accuracy``, the share of right answers, (TP + TN) / all, and ``balanced_accuracy``, both as means over the
        attributes; and both of each attribute, ``accuracy/NAME`` and ``balanced_accuracy/NAME``.

    Raises:
        ValueError: there are no photos.
    """
    if not len(truth):
        raise ValueError("there are no photos to measure")
    right = (truth == answer).double().mean(0).tolist()
    balanced = [balanced_accuracy(truth[:, column], answer[:, column]) for column in range(len(names))]
    known = [value for value in balanced if not math.isnan(value)]
    found = {
        "accuracy": math.fsum(right) / len(right),
        "balanced_accuracy": math.fsum(known) / len(known) if known else math.nan,
    }
    for name, accuracy, value in zip(names, right, balanced, strict=True):
        found |= {f"accuracy/{name}": accuracy, f"balanced_accuracy/{name}": value}
    return found
