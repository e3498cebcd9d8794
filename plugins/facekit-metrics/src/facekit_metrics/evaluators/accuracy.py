"""How well evaluators read real photos: figures over all photos, and the metrics of their recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, NoOptions, Observation, Task

from .options import ATTRIBUTE_LOGITS, MASK_LOGITS


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


class MeanIou:
    """Pixel accuracy and intersection over union of what a segmenter reads, from one confusion matrix over all photos.

    Args:
        names: the classes.
    """

    tasks: tuple[Task, ...] = ("reconstruction",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._matrix = torch.zeros(len(names), len(names), dtype=torch.int64)
        self._shares: list[float] = []

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self.see(observation.geometry(), observation.generated.maps[MASK_LOGITS])

    def see(self, masks: Tensor, logits: Tensor) -> None:
        """Take in masks (N, H, W) and the logits (N, C, H, W) that were read."""
        said = logits.argmax(1).cpu()
        self._matrix += confusion(masks.cpu(), said, len(self._names))
        self._shares += (said == masks.cpu()).double().mean((1, 2)).tolist()

    def shares(self) -> dict[str, float]:
        """Return ``pixel_accuracy``, ``mean_iou`` over the classes that masks show, and ``iou/CLASS``, 0 to 1.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._shares:
            raise FacekitError("mean_iou was given nothing to measure")
        return segmentation_figures(self._matrix, self._names)

    def compute(self) -> tuple[Measurement, ...]:
        """Return the same in per cent."""
        return _measurements(self.shares(), {"pixel_accuracy": self._shares}, count=len(self._shares))


class ClassificationAccuracy:
    """How often a classifier is right.

    Args:
        names: the attributes.
    """

    tasks: tuple[Task, ...] = ("reconstruction",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._truth: list[Tensor] = []
        self._said: list[Tensor] = []

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        assert observation.attributes is not None  # its ports need them
        self.see(observation.attributes, observation.generated.maps[ATTRIBUTE_LOGITS])

    def see(self, attributes: Tensor, logits: Tensor) -> None:
        """Take in attributes and logits (N, A)."""
        self._truth.append(attributes.cpu() > 0)
        self._said.append(logits.cpu() > 0)

    def shares(self) -> dict[str, float]:
        """Return ``accuracy``, ``balanced_accuracy`` and both of each attribute, ``accuracy/NAME``, 0 to 1.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._truth:
            raise FacekitError("classification_accuracy was given nothing to measure")
        return attribute_figures(torch.cat(self._truth), torch.cat(self._said), self._names)

    def compute(self) -> tuple[Measurement, ...]:
        """Return the same in per cent."""
        shares = self.shares()
        right = (torch.cat(self._truth) == torch.cat(self._said)).double().mean(1).tolist()
        return _measurements(shares, {"accuracy": right}, count=len(right))


def _measurements(
    shares: Mapping[str, float], per_sample: Mapping[str, Sequence[float]], *, count: int
) -> tuple[Measurement, ...]:
    protocol = {"reads": "photos and their mirror images, answers averaged"}
    return tuple(
        Measurement(
            name,
            100 * share,
            "%",
            "higher",
            protocol,
            count,
            tuple(100 * value for value in per_sample.get(name, ())),
            detail="/" in name,
        )
        for name, share in shares.items()
    )


def build_mean_iou(options: NoOptions, context: BuildContext) -> MeanIou:
    """Build the metric."""
    return MeanIou(context.label_map.names)


def build_classification_accuracy(options: NoOptions, context: BuildContext) -> ClassificationAccuracy:
    """Build the metric."""
    return ClassificationAccuracy(context.attribute_names)
