"""How much faster the trace of a matrix square root is by eigendecomposition than by ``scipy.linalg.sqrtm``.

::

    OMP_NUM_THREADS=1 python benchmarks/matrix_square_root.py --dimension 2048

Both compute what the Fréchet distance needs of two covariances, in float64, in turn. The processor's time is shown, so
that whatever else the machine does matters little; the smallest of each. Features are drawn: correlated, at least zero,
10,000 of them, as those of Inception are.
``--pictures 50`` shows the case of fewer pictures than features, where the exact trace is known (the singular values of
the product of the centred features), and with it how far each is from it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from facekit_metrics.statistics import gaussian, trace_of_root


def features(count: int, dimension: int, seed: int) -> Tensor:
    """Return correlated features (count, dimension), at least 0."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimension, dimension, generator=random) / dimension**0.5
    mix *= torch.linspace(1, 0.02, dimension).unsqueeze(1)
    return (torch.randn(count, dimension, generator=random) @ mix + 0.2 * (seed + 1)).relu()


def exact(one: Tensor, other: Tensor) -> float:
    """Return the trace from centred features; for few of them."""
    centred = [(each.double() - each.double().mean(0)) / (len(each) - 1) ** 0.5 for each in (one, other)]
    return float(torch.linalg.svdvals(centred[0] @ centred[1].T).sum())


def by_scipy(one: Tensor, other: Tensor) -> float:
    """Return the trace as most implementations of FID compute it."""
    root = scipy.linalg.sqrtm(one.numpy() @ other.numpy())
    return float(np.trace(root).real)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The trace of the square root of a product of two covariances.")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--pictures", type=int, default=10_000, help="pictures in each set")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sets = [features(arguments.pictures, arguments.dimension, seed) for seed in (0, 1)]
    covariances = [gaussian(each).covariance for each in sets]
    ways: dict[str, Callable[[Tensor, Tensor], float]] = {"facekit": trace_of_root, "scipy.linalg.sqrtm": by_scipy}
    times: dict[str, list[float]] = {name: [] for name in ways}
    values = {}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            began = time.process_time()
            values[name] = way(*covariances)
            times[name].append(time.process_time() - began)
    known = exact(*sets) if arguments.pictures <= 4096 else None
    for name, spent in times.items():
        error = "" if known is None else f", off by {abs(values[name] - known) / known:.1e} of the exact trace"
        print(f"{name:20} {min(spent):8.2f} s  trace {values[name]:.9g}{error}")
    print(f"{min(times['scipy.linalg.sqrtm']) / min(times['facekit']):.1f} times faster")


if __name__ == "__main__":
    main()
