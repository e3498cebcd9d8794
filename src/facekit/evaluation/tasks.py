"""Evaluation tasks: which face is generated in which style. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facekit.data.sampling import drawn_donors, swapped_pairs
from facekit.data.store import PackedFaces
from facekit.interfaces import FacekitError, Metric, Task, TransferMetric, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK_SEED = 0
"""Seed of the pairing when none is given: the same faces wear the same looks in every run."""

PLAIN_TASKS: tuple[Task, ...] = ("reconstruction", "style_copy", "generation")
"""The tasks that need no attributes."""


@dataclass(frozen=True, eq=False)
class TaskPairs:
    """The pairs of a task, in the order of the target faces; of ``attribute_transfer`` in that of the changed faces.

    Samples of ``generation`` are listed by the face whose key their noise follows from, which is target and reference.

    Args:
        targets: rows of the faces whose masks are generated from, (N,).
        references: rows of the faces whose look is wanted, (N,).
        attribute: ``attribute_transfer``: the attribute that changes; empty in other tasks.
        column: its column in the data's attributes; None in other tasks.
    """

    task: Task
    targets: NDArray[np.int64]
    references: NDArray[np.int64]
    attribute: str = ""
    column: int | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def name(self) -> str:
        """The name of this list of pairs: ``style_copy``, ``attribute_transfer/Smiling``."""
        return f"{self.task}/{self.attribute}" if self.attribute else self.task

    def keys(self, packed: PackedFaces) -> list[tuple[str, str]]:
        """Return the exact list of (target key, reference key), for reports."""
        pairs = zip(self.targets, self.references, strict=True)
        return [(packed.keys[int(target)], packed.keys[int(reference)]) for target, reference in pairs]

    def wanted_by(self, metric: Metric) -> bool:
        """Return whether a metric wants to see results of these pairs."""
        if self.task not in metric.tasks:
            return False
        return not self.attribute or (isinstance(metric, TransferMetric) and self.attribute in metric.transfers)


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

    ``reconstruction``: each face from its own mask in its own look. ``generation``: one sample a face, which gives what
    the model reads beside noise. ``style_copy``: each mask in the style of another face, each face once the target and
    once the reference, in one random cycle that the seed decides. For ``attribute_transfer`` see
    :func:`transfer_pairs`.

    Args:
        rows: the faces, N different ones.
        seed: seed of the pairing; only ``style_copy`` has anything random.

    Raises:
        FacekitError: ``style_copy`` over fewer than two faces.
        ValueError: the task needs attributes.
    """
    if task in ("reconstruction", "generation"):
        return TaskPairs(task, rows, rows)
    if task == "style_copy":
        pairs = swapped_pairs(rows, seed=seed)
        return TaskPairs(task, pairs[:, 0], pairs[:, 1])
    raise ValueError(f"the pairs of {task} follow from attributes: see transfer_pairs")


def transfer_pairs(packed: PackedFaces, rows: NDArray[np.int64], attribute: str, *, seed: int = TASK_SEED) -> TaskPairs:
    """Return the pairs in which an attribute changes: each face keeps its look and gets the mask of another one.

    A face that lacks the attribute gets the mask of one that has it, and one that has it the mask of one that lacks it.
    Which one is drawn; all that can give serve equally often.

    Args:
        rows: the faces, N different ones.
        seed: seed of the drawing; each attribute has draws of its own.

    Returns:
        N pairs, in the order of the changed faces (the references).

    Raises:
        FacekitError: the data has no attributes, or not this one, or all the faces agree in it.
    """
    names = packed.attribute_names
    if not names or packed.attributes is None:
        raise FacekitError(
            f"{attribute} cannot be transferred: the data has no attributes",
            where=str(packed.folder),
            remedy="put the attribute file beside the photos and name the attributes in `data.attributes`, or take "
            "attribute_transfer out of the metrics (`transfer: []`)",
        )
    if attribute not in names:
        raise FacekitError(
            f"the data has no attribute {attribute!r} to transfer",
            where="metrics",
            remedy=did_you_mean(attribute, names) or f"it has {', '.join(names)}",
        )
    column = names.index(attribute)
    shown = packed.attributes[rows, column] > 0
    having, lacking = rows[shown], rows[~shown]
    if not len(having) or not len(lacking):
        raise FacekitError(
            f"{attribute} cannot be transferred among these {len(rows)} faces: "
            f"{'none' if not len(having) else 'every one'} of them has it",
            where="metrics",
            remedy="take it out of `transfer`, or evaluate more faces",
        )
    targets = np.empty_like(rows)
    targets[~shown] = drawn_donors(lacking, having, seed=seed, purpose=f"{attribute} comes")
    targets[shown] = drawn_donors(having, lacking, seed=seed, purpose=f"{attribute} goes")
    return TaskPairs("attribute_transfer", targets, rows, attribute, column)


def wanted_pairs(
    packed: PackedFaces, rows: NDArray[np.int64], metrics: Sequence[Metric], *, seed: int = TASK_SEED
) -> list[TaskPairs]:
    """Return every list of pairs that some metric wants to see, each once.

    Raises:
        FacekitError: as :func:`task_pairs` and :func:`transfer_pairs`, or a metric wants to see the transfer of
            attributes and does not say of which.
    """
    found = [
        task_pairs(rows, task, seed=seed) for task in PLAIN_TASKS if any(task in metric.tasks for metric in metrics)
    ]
    attributes: dict[str, None] = {}
    for metric in metrics:
        if "attribute_transfer" in metric.tasks:
            if not isinstance(metric, TransferMetric) or not metric.transfers:
                raise FacekitError(
                    f"{type(metric).__name__} measures attribute_transfer and names no attributes",
                    where="metrics",
                    remedy="its property `transfers` names them; see TransferMetric",
                )
            attributes |= dict.fromkeys(metric.transfers)
    return found + [transfer_pairs(packed, rows, attribute, seed=seed) for attribute in attributes]
