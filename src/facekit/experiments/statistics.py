"""The statistics of a table: spread over seeds, intervals over photos, paired tests. Torch-free.

Two things vary, and they are kept apart. **Training**: each seed gives a model of its own; the deviation over seeds
says how much. **Photos**: the test photos are a sample of those there are; the bootstrap interval says how much that
matters for these models. Values of one photo under several seeds are no independent observations, so they are never
pooled: each photo counts once, by its mean over the seeds. Whole photos are drawn for the interval, and photos are
paired for tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SIGNIFICANT = 0.05
"""Holm-corrected p below which a difference is called one."""


def mean(values: Sequence[float]) -> float:
    """Return the mean, with an exact sum; NaN for none."""
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1); None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def photo_means(per_seed: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of each photo over the seeds; empty where the seeds do not have the same photos, or none."""
    if not per_seed or not per_seed[0] or len({len(values) for values in per_seed}) > 1:
        return ()
    return tuple(mean(values) for values in zip(*per_seed, strict=True))


def paired_p(values: Sequence[float], reference: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test on the differences of paired photos.

    The ranks of photos without a difference are split between both signs (``zsplit``), so that many ties make the test
    careful. Without any difference p is 1.

    Raises:
        ValueError: there is not one value for each value, or there are none.
    """
    if len(values) != len(reference) or not values:
        raise ValueError(f"{len(values)} values cannot be paired with {len(reference)}")
    from scipy.stats import wilcoxon

    differences = [value - other for value, other in zip(values, reference, strict=True)]
    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, zero_method="zsplit").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p corrected for all tests that were made together (Holm, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
