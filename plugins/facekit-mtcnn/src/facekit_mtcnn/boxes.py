"""Boxes around faces: rows of left, top, right, bottom in pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""(N, 4): left, top, right, bottom."""

Scores = NDArray[np.float64]
"""(N,): 0 to 1."""


def strongest(
    boxes: Boxes, scores: Scores, *, overlap: float, of: Literal["union", "smaller"] = "union"
) -> NDArray[np.int64]:
    """Return the indices of the boxes that no stronger box overlaps, strongest first (non-maximum suppression).

    Args:
        boxes: the boxes.
        scores: how sure each is.
        overlap: the largest overlap that both of two boxes survive.
        of: what the shared area is measured against: that of both together, or of the smaller box.
    """
    order = np.argsort(-scores, kind="stable")
    areas = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        opposite = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(opposite - corner, 0), axis=1)
        whole = areas[best] + areas[rest] - shared if of == "union" else np.minimum(areas[best], areas[rest])
        order = rest[shared <= overlap * np.maximum(whole, 1e-9)]
    return np.asarray(kept, dtype=np.int64)


def refined(boxes: Boxes, offsets: NDArray[np.float64]) -> Boxes:
    """Return boxes whose edges are moved by offsets (N, 4), in widths and heights of each box."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.concatenate([size, size], axis=1)


def squared(boxes: Boxes) -> Boxes:
    """Return the squares with the same middles and the longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)
