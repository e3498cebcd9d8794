"""Evaluation tasks: which mask is painted in which look. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facekit.data import PackedFaces, swapped_pairs
from facekit.interfaces import FacekitError, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TASK_SEED = 0
"""Seed of the pairing when none is given: the same faces wear the same looks in every run."""


@dataclass(frozen=True, eq=False)
class TaskPairs:
    """The pairs of a task, in the order of the target faces.

    Args:
        task: which task.
        targets: rows of the faces whose masks are painted, (N,).
        references: rows of the faces whose look is wanted, (N,).
    """

    task: Task
    targets: NDArray[np.int64]
    references: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def keys(self, packed: PackedFaces) -> list[tuple[str, str]]:
        """Return the exact list of (target key, reference key), for reports."""
        pairs = zip(self.targets, self.references, strict=True)
        return [(packed.keys[int(target)], packed.keys[int(reference)]) for target, reference in pairs]


def faces_of(packed: PackedFaces, split: str, *, limit: int | None = None) -> NDArray[np.int64]:
    """Return the rows that are evaluated: those of a split, or the first ``limit`` of them.

    Raises:
        FacekitError: there is no such split, or it is empty.
        ValueError: ``limit`` is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    rows = packed.rows(split)[:limit]
    if not len(rows):
        raise FacekitError(f"the {split} split is empty", where=str(packed.folder), remedy="evaluate another split")
    return rows


def task_pairs(rows: NDArray[np.int64], task: Task, *, seed: int = TASK_SEED) -> TaskPairs:
    """Return the pairs of a task over some faces.

    ``reconstruction``: each face from its own mask in its own look. ``style_copy``: each mask in the look of another
    face, each face once the target and once the reference, in one random cycle that the seed decides.

    Args:
        rows: the faces, N different ones.
        task: which task.
        seed: seed of the pairing; reconstruction has nothing random.

    Raises:
        FacekitError: ``style_copy`` over fewer than two faces.
    """
    if task == "reconstruction":
        return TaskPairs(task, rows, rows)
    pairs = swapped_pairs(rows, seed=seed)
    return TaskPairs(task, pairs[:, 0], pairs[:, 1])
