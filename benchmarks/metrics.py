"""(e) Metrics: features of pictures, and the Fréchet distance in 2,048 dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import torch

from benchmarks.measure import in_turns, ratio
from facekit_metrics.features.extractor import extractor
from facekit_metrics.statistics import frechet_distance, gaussian


def general_root(a: np.ndarray, b: np.ndarray) -> float:
    """Return the trace of the square root of ``a b`` as many programs compute it: the root of a general matrix."""
    return float(np.trace(scipy.linalg.sqrtm(a @ b).real))


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return how many pictures a second give features, and how long the distance takes."""
    dimensions, count = (64, 200) if small else (2048, 2500)
    network = extractor("efficientnet_lite0")
    pictures = torch.rand(2 if small else 16, 3, 256, 256) * 2 - 1
    # A picture it has seen is not computed again.
    features = in_turns({"features": lambda: network(pictures.clone())}, rounds=rounds)["features"]

    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64) / dimensions**0.5
    sets = [torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing for _ in range(2)]
    one, other = gaussian(sets[0]), gaussian(sets[1] + 0.1)
    times = in_turns(
        {
            "general root": lambda: general_root(one.covariance.numpy(), other.covariance.numpy()),
            "facekit": lambda: frechet_distance(one, other),
        },
        rounds=1 if small else min(rounds, 3),
        warm_up=0,
    )
    return {
        "extractor": "efficientnet_lite0",
        "pictures_a_second": len(pictures) / features.median,
        "dimensions": dimensions,
        "distance_seconds": times["facekit"].document(),
        "general_root_seconds": times["general root"].document(),
        "times_as_fast": ratio(times["general root"], times["facekit"]),
    }
