"""Bootstrap confidence intervals over photos. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 20_040_813
_BLOCK = 4_000_000


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Return the percentile interval of the mean of one value a photo (Efron, 1979).

    The draws are seeded: equal values give equal intervals.

    Args:
        values: one a photo.
        confidence: share of the bootstrap means inside the interval.
        resamples: how many times photos are drawn with replacement.

    Returns:
        the lower and the upper end; None for fewer than two values.

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it is a share between 0 and 1")
    if len(values) < 2:
        return None
    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    means = np.empty(resamples)
    block = max(1, _BLOCK // len(sample))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        means[start : start + count] = sample[random.integers(len(sample), size=(count, len(sample)))].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
