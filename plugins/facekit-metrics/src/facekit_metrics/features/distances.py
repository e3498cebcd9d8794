"""Distances between features, and how far the neighbours of each are."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_NUMBERS_AT_A_TIME = 1 << 24


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
        mine = rows[part].double()
        yield part, torch.cdist(mine, others, compute_mode="donot_use_mm_for_euclid_dist")


def radii(features: Tensor, k: int) -> Tensor:
    """Return the distance of each vector to its k-th nearest other one.

    Args:
        features: (N, D), N above ``k``.
        k: at least 1.

    Returns:
        (N,) float64.

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
