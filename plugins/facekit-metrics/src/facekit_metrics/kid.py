"""Kernel distance of features (KID): unbiased for any number of pictures."""

from __future__ import annotations

import statistics

import numpy as np
import torch
from torch import Tensor

from facekit.interfaces import EVALUATED, BuildContext, FacekitError, Measurement

from .comparison import SetComparison, SetMetric, comparison
from .set_options import KidOptions

LARGEST_SUBSET = 1000
SEED = 2018
"""Of the subsets; part of the protocol."""


def polynomial_kernel(one: Tensor, other: Tensor) -> Tensor:
    """Return ``(x . y / D + 1)^3`` of each pair.

    Args:
        one: (N, D).
        other: (M, D).

    Returns:
        (N, M) float64.
    """
    return (one.double() @ other.double().T / one.shape[1] + 1) ** 3


def squared_mmd(one: Tensor, other: Tensor) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy (Gretton et al., JMLR 2012, eq. 3).

    A vector is not compared with itself, so the estimate may be negative when the two sets are alike.

    Args:
        one: (N, D), N at least 2.
        other: (M, D), M at least 2.

    Raises:
        ValueError: a set has fewer than two vectors.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a set of fewer than two vectors has no unbiased estimate")
    return _within(one) + _within(other) - 2 * float(polynomial_kernel(one, other).mean())


def _within(features: Tensor) -> float:
    kernel = polynomial_kernel(features, features)
    return float(kernel.sum() - kernel.trace()) / (len(features) * (len(features) - 1))


def subset_distances(one: Tensor, other: Tensor, *, subsets: int, size: int) -> list[float]:
    """Return the estimate over random subsets of both sets, drawn without replacement from a fixed seed.

    Args:
        one: (N, D).
        other: (M, D).
        subsets: how many.
        size: pictures of each set in one.

    Raises:
        ValueError: a set is smaller than a subset.
    """
    if size > min(len(one), len(other)):
        raise ValueError(f"subsets of {size} cannot be drawn from {len(one)} and {len(other)} vectors")
    random = np.random.default_rng(SEED)
    found = []
    for _ in range(subsets):
        mine = torch.from_numpy(random.permutation(len(one))[:size])
        others = torch.from_numpy(random.permutation(len(other))[:size])
        found.append(squared_mmd(one[mine], other[others]))
    return found


class KID(SetMetric):
    """Mean and deviation of the kernel distance over random subsets.

    Args:
        compared: results and photos.
        subsets: how many subsets.
        subset_size: pictures in each; None for 1,000, or half of the smaller set where that is less.
    """

    def __init__(self, compared: SetComparison, *, subsets: int = 100, subset_size: int | None = None) -> None:
        super().__init__(compared)
        self.subsets = subsets
        self.subset_size = subset_size
        self.measure = compared.name("KID")

    def compute(self) -> tuple[Measurement, ...]:
        """Return the mean, and the deviation under ``.../deviation``.

        Raises:
            FacekitError: nothing was observed, or fewer pictures than a subset has.
        """
        results, real = self.compared.sets(self.measure)
        size = self.size_for(min(len(results), len(real)))
        distances = subset_distances(results.features, real.features, subsets=self.subsets, size=size)
        protocol = {
            **self.compared.protocol(len(results)),
            "kernel": "(x . y / D + 1)^3, unbiased",
            "subsets": f"{self.subsets} of {size} pictures, seed {SEED}",
        }
        return (
            Measurement(self.measure, statistics.fmean(distances), "", "lower", protocol, len(results)),
            Measurement(f"{self.measure}/deviation", statistics.stdev(distances), "", "lower", protocol, len(results)),
        )

    def size_for(self, count: int) -> int:
        """Return how many pictures a subset has. Raises FacekitError when there are not so many."""
        if count < 4:
            raise FacekitError(
                f"{self.measure} compares subsets of pictures, and there are {count}",
                where="metrics",
                remedy="evaluate four faces or more",
            )
        if self.subset_size is not None and self.subset_size > count:
            raise FacekitError(
                f"{self.measure} cannot draw subsets of {self.subset_size} from {count} pictures",
                where="metrics",
                remedy=f"set subset_size to {count // 2} or less, or leave it out",
            )
        return self.subset_size or min(LARGEST_SUBSET, count // 2)


def build(options: KidOptions, context: BuildContext) -> KID:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there, the data has no such split, or too few photos.
    """
    metric = KID(comparison(options, context), subsets=options.subsets, subset_size=options.subset_size)
    results = metric.compared.choice.results(len(context.real_photos(EVALUATED)))
    metric.size_for(min(len(metric.compared.photos), results))
    return metric
