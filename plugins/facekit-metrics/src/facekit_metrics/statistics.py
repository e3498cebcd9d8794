"""Statistics of sets of feature vectors, as plain functions of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SEED = 2018
"""Of the random subsets of the kernel distance."""

_NUMBERS_AT_A_TIME = 1 << 24


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean (D,) and covariance (D, D) of ``count`` vectors, float64."""

    mean: Tensor
    covariance: Tensor
    count: int


def gaussian(features: Tensor) -> Gaussian:
    """Return the mean and the unbiased covariance of features (N, D).

    Raises:
        ValueError: there are fewer than two.
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} vectors have no covariance")
    values = features.double()
    mean = values.mean(0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / (len(values) - 1), len(values))


def trace_of_root(a: Tensor, b: Tensor) -> float:
    """Return the trace of the square root of ``a b``, for covariances a and b.

    ``a b`` has the eigenvalues of the symmetric ``r b r'`` with ``a = r' r``, so two eigendecompositions of symmetric
    matrices do, in float64, without complex numbers. Eigenvalues of a that are zero but for rounding are left out:
    their roots, about 1e-8 of the largest each, would add up when there are fewer images than features.

    Args:
        a: (D, D), symmetric, no negative eigenvalues; its rank may be below D.
        b: likewise.
    """

    def rounding(eigenvalues: Tensor) -> float:
        """Up to where eigenvalues may be zeros."""
        if not len(eigenvalues):
            return 0.0
        return float(eigenvalues.abs().max()) * len(eigenvalues) * torch.finfo(torch.float64).eps

    values, vectors = torch.linalg.eigh(a)
    kept = values > rounding(values)
    root = vectors[:, kept] * values[kept].sqrt()
    product = root.T @ b @ root
    eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
    return float(eigenvalues[eigenvalues > rounding(eigenvalues)].sqrt().sum())


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of two Gaussians (Dowson and Landau, 1982).

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``; not negative.
    """
    means = float((one.mean - other.mean).square().sum())
    spreads = float(one.covariance.trace() + other.covariance.trace())
    return max(0.0, means + spreads - 2 * trace_of_root(one.covariance, other.covariance))


def polynomial_kernel(one: Tensor, other: Tensor) -> Tensor:
    """Return ``(x . y / D + 1)^3`` of each pair of (N, D) and (M, D): (N, M) float64."""
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

    def within(features: Tensor) -> float:
        kernel = polynomial_kernel(features, features)
        return float(kernel.sum() - kernel.trace()) / (len(features) * (len(features) - 1))

    return within(one) + within(other) - 2 * float(polynomial_kernel(one, other).mean())


def subset_distances(one: Tensor, other: Tensor, *, subsets: int, size: int) -> list[float]:
    """Return the estimate over random subsets of both sets, drawn without replacement from a fixed seed.

    Args:
        one: (N, D).
        other: (M, D).
        subsets: how many.
        size: images of each set in one.

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


def in_blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield Euclidean distances in float64, some rows at a time, so that memory stays bounded.

    They are sums of squared differences and not of products, so equal vectors are exactly at 0.

    Args:
        rows: (N, D).
        columns: (M, D).

    Yields:
        which rows, and their distances to all columns (n, M).
    """
    step = max(1, _NUMBERS_AT_A_TIME // max(1, len(columns)))
    others = columns.double()
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        yield part, torch.cdist(rows[part].double(), others, compute_mode="donot_use_mm_for_euclid_dist")


def radii(features: Tensor, k: int) -> Tensor:
    """Return the distance of each vector (N, D) to its k-th nearest other one, (N,) float64.

    Raises:
        ValueError: there are not so many others.
    """
    if not 1 <= k < len(features):
        raise ValueError(f"there is no neighbour {k} among {len(features)} vectors")
    found = []
    for part, distances in in_blocks(features, features):
        rows = torch.arange(part.start, part.stop)
        distances[torch.arange(len(rows)), rows] = torch.inf
        found.append(distances.kthvalue(k, 1).values)
    return torch.cat(found)


def inside(images: Tensor, centres: Tensor, reach: Tensor) -> Tensor:
    """Return which images lie in a ball around one of the centres; on its surface is inside.

    Args:
        images: (N, D).
        centres: (M, D).
        reach: radius of each ball, (M,) float64.

    Returns:
        (N,) bool.
    """
    return torch.cat([(distances <= reach).any(1) for _, distances in in_blocks(images, centres)])


def densities(results: Tensor, real: Tensor, reach: Tensor, *, k: int) -> Tensor:
    """Return for each result how many balls of real photos hold it, as a multiple of k.

    Args:
        results: (N, D).
        real: (M, D).
        reach: distance of each photo to its k-th neighbour, (M,) float64.
        k: which neighbour that is.

    Returns:
        (N,) float64; 1 on average for results that are as the photos are, and without an upper bound.
    """
    return torch.cat([(distances < reach).sum(1) for _, distances in in_blocks(results, real)]).double() / k


def covered(results: Tensor, real: Tensor, reach: Tensor) -> Tensor:
    """Return which real photos have a result in their ball, (M,) bool; arguments as of :func:`densities`."""
    return torch.cat([distances.amin(1) < reach[part] for part, distances in in_blocks(real, results)])


def nearest(images: Tensor, training: Tensor, *, barred: Tensor) -> Tensor:
    """Return the distance of each image to the nearest training photo.

    Args:
        images: (N, D).
        training: (M, D).
        barred: photos that do not count for an image, (N, M) bool.

    Returns:
        (N,) float64; infinite where all are barred.
    """
    return torch.cat(
        [distances.masked_fill(barred[part], torch.inf).amin(1) for part, distances in in_blocks(images, training)]
    )


def nearer_than(results: Tensor, real: Tensor) -> list[float]:
    """Return for each result the share of real photos that are farther from the training photos than it is.

    Their mean is the statistic of Mann and Whitney divided by the number of pairs, which Meehan et al. (A
    Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020) test copying with.

    Args:
        results: distances of results, (N,).
        real: distances of real photos, (M,).

    Returns:
        N shares; ties count half. 0.5 on average when results are as far as new photos are, 1 for copies.
    """
    lower = (results[:, None] < real).double() + 0.5 * (results[:, None] == real).double()
    return [float(share) for share in lower.mean(1)]
