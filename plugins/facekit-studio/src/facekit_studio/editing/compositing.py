"""Putting an edited face back into its photo: only where the edit is, and so that no seam shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from facekit_studio.editing.alignment import Placement

FEATHER = 0.04
"""How far the edit blends into the photo beyond the pixels whose class changed, in sides of the square."""

_SOLVED_SIDE = 160
"""The membrane is smooth; it is solved on a grid of about this many pixels and interpolated."""


@dataclass(frozen=True)
class Composite:
    """An edited photo.

    Args:
        photo: (H, W, 3) uint8.
        touched: (H, W): which pixels the edit could change; all others are those of the original, bit by bit.
    """

    photo: NDArray[np.uint8]
    touched: NDArray[np.bool_]


def paste_back(
    photo: NDArray[np.uint8],
    generated: NDArray[np.uint8],
    placement: Placement,
    *,
    changed: NDArray[np.bool_],
    feather: float = FEATHER,
) -> Composite:
    """Blend a generated face into its photo where it changed.

    Inside the changed area the generated face stands alone; over a feathered margin around it, it fades into the photo.
    At sides of the square that lie inside the photo it fades as well.
    Before that its colours are matched at the margin's outer edge: the difference between photo and result along
    that edge is continued inwards as smoothly as possible (a membrane; Perez et al., Poisson Image Editing, SIGGRAPH
    2003) and added.

    Args:
        photo: the original (H, W, 3) uint8.
        generated: the model's result (S, S, 3) uint8 for the square.
        placement: where the square lies in the photo.
        changed: the pixels (S, S) of the square that the edit is about: where the mask changed, or all of them.
        feather: the margin's width in sides of the square.

    Returns:
        the edited photo, and which pixels the edit reached. Without a change nothing is touched.
    """
    margin = max(feather * changed.shape[0], 1.0)
    weight = _weight(changed, margin)
    if not _covers(placement, photo.shape[0], photo.shape[1]):
        weight *= _fading(changed.shape[0], margin)
    result = photo.copy()
    touched = np.zeros(photo.shape[:2], dtype=bool)
    window = _window(placement, weight > 0, photo.shape[0], photo.shape[1])
    if window is None:
        return Composite(result, touched)
    top, left, height, width = window
    places = placement.positions(weight.shape[0], top=top, left=left, height=height, width=width)
    within = ((places >= -0.5) & (places <= weight.shape[0] - 0.5)).all(axis=0)
    # At the sides, half a pixel of the square lies beyond the middles of its outermost pixels.
    alpha = np.where(within, _sampled(weight, places, order=1), 0.0)
    inside = alpha > 1e-3
    if not inside.any():
        return Composite(result, touched)
    original = photo[top : top + height, left : left + width].astype(np.float64)
    places *= generated.shape[0] / weight.shape[0]
    places += (generated.shape[0] / weight.shape[0] - 1) / 2
    face = np.stack(
        [_sampled(generated[..., channel].astype(np.float64), places, order=3) for channel in range(3)],
        axis=-1,
    )
    matched = face + _membrane(original - face, inside)
    mixed = original + alpha[..., None] * (matched - original)
    part = result[top : top + height, left : left + width]
    part[inside] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)[inside]
    touched[top : top + height, left : left + width] = inside
    return Composite(result, touched)


def _weight(changed: NDArray[np.bool_], margin: float) -> NDArray[np.float64]:
    """Return how much of the generated face shows: 1 where the class changed, 0 from the margin on."""
    if not changed.any():
        return np.zeros(changed.shape)
    distance = ndimage.distance_transform_edt(~changed)
    share = np.clip(1 - distance / margin, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _covers(placement: Placement, height: int, width: int) -> bool:
    """Whether the square covers the whole photo."""
    x, y = zip(*placement.corners, strict=True)
    return placement.upright and min(x) <= 0.5 and max(x) >= width - 0.5 and min(y) <= 0.5 and max(y) >= height - 0.5


def _fading(size: int, margin: float) -> NDArray[np.float64]:
    """Return 1 inside the square, falling to 0 at its sides."""
    line = np.arange(size) + 0.5
    share = np.clip(np.minimum(line, size - line) / margin, 0, 1)
    smooth = share * share * (3 - 2 * share)
    return np.asarray(np.minimum(smooth[:, None], smooth[None, :]))


def _window(placement: Placement, used: NDArray[np.bool_], height: int, width: int) -> tuple[int, int, int, int] | None:
    """Return top, left, height and width of the part of the photo that the used part of the square covers."""
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    if not len(rows):
        return None
    size = used.shape[0]
    ends_y = (rows[0] - 1) / size, (rows[-1] + 2) / size
    ends_x = (columns[0] - 1) / size, (columns[-1] + 2) / size
    (x, y), (right, down) = placement.origin, placement.right
    corners = [(x + a * right - b * down, y + a * down + b * right) for a in ends_x for b in ends_y]
    left = max(0, math.floor(min(corner[0] for corner in corners)))
    top = max(0, math.floor(min(corner[1] for corner in corners)))
    end_x = min(width, math.ceil(max(corner[0] for corner in corners)))
    end_y = min(height, math.ceil(max(corner[1] for corner in corners)))
    if end_x <= left or end_y <= top:
        return None
    return top, left, end_y - top, end_x - left


def _sampled(picture: NDArray[np.float64], places: NDArray[np.float64], *, order: int) -> NDArray[np.float64]:
    return np.asarray(ndimage.map_coordinates(picture, places, order=order, mode="nearest"))


def _membrane(difference: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the smoothest continuation, over the pixels inside, of the differences along their outer edge.

    The edge of the photo leaves the membrane free. Where the area has no edge within the photo at all, it is the mean.
    """
    step = max(1, math.ceil(max(inside.shape) / _SOLVED_SIDE))
    area = np.pad(inside, 1, mode="edge")
    edge = ndimage.binary_dilation(area, iterations=step)[1:-1, 1:-1] & ~inside
    if not edge.any():
        return np.broadcast_to(difference[inside].mean(axis=0), difference.shape)
    rows, columns = -(-inside.shape[0] // step), -(-inside.shape[1] // step)
    free, known = _blocks(inside, step, rows, columns), _blocks(edge, step, rows, columns)
    sums = np.stack([_blocks(difference[..., c] * edge, step, rows, columns) for c in range(3)], axis=-1)
    is_known = known > 0
    values = np.where(is_known[..., None], sums / np.maximum(known, 1)[..., None], 0.0)
    unknown = (free > 0) & ~is_known
    if unknown.any():
        values[unknown] = _laplace(values, is_known, unknown)
    filled = is_known | unknown
    # Cells that belong to neither take their nearest neighbour's value, so that interpolation has something to see.
    _, nearest = ndimage.distance_transform_edt(~filled, return_indices=True)
    values = values[nearest[0], nearest[1]]
    if step == 1:
        return values
    rows_at, columns_at = (np.arange(length, dtype=np.float64) for length in inside.shape)
    places = np.stack(np.meshgrid((rows_at + 0.5) / step - 0.5, (columns_at + 0.5) / step - 0.5, indexing="ij"))
    return np.stack([_sampled(values[..., channel], places, order=1) for channel in range(3)], axis=-1)


def _blocks(values: NDArray, step: int, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the sums over blocks of ``step`` by ``step`` pixels."""
    padded = np.zeros((rows * step, columns * step))
    padded[: values.shape[0], : values.shape[1]] = values
    return padded.reshape(rows, step, columns, step).sum(axis=(1, 3))


def _laplace(values: NDArray[np.float64], known: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Solve Laplace's equation (N, 3) on the unknown cells; cells that are neither known nor unknown are walls."""
    cells = known | unknown
    number = np.cumsum(cells).reshape(cells.shape) - 1
    neighbours = []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        both = cells[one] & cells[other]
        neighbours.append(np.stack([number[one][both], number[other][both]]))
    first, second = np.concatenate(neighbours, axis=1)
    size = int(cells.sum())
    links = sparse.csr_matrix((np.ones(len(first)), (first, second)), shape=(size, size))
    links += links.T
    free = unknown[cells]
    degree = np.asarray(links.sum(axis=1)).ravel()
    # A tiny pull to zero keeps islands without a known neighbour solvable.
    matrix = sparse.diags(degree[free] + 1e-9) - links[free][:, free]
    right = links[free][:, ~free] @ values[cells][~free]
    return np.asarray(spsolve(sparse.csc_matrix(matrix), right)).reshape(-1, 3)
