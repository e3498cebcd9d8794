"""Photos with their masks at one side, and which of them an edit is for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facekit.data.geometry import middle_square, resize_photo
from facekit.interfaces import FaceDataset, FacekitError, did_you_mean
from facekit_studio.edit_quality.kinds import NamedEdit
from facekit_studio.editing.local import mask_at
from facekit_studio.editing.script.masks import Ids

SIDE = 512
"""Pixels of the photos' side at which edits are made and measured."""


@dataclass(frozen=True, eq=False)
class Face:
    """A photo with its mask.

    Args:
        key: its name in the data.
        image: (S, S, 3) uint8.
        mask: its class ids, (S, S) uint8.
    """

    key: str
    image: NDArray[np.uint8]
    mask: Ids


def read_face(dataset: FaceDataset, index: int, *, side: int) -> Face:
    """Read a photo with its mask: the square in its middle, made smaller to ``side`` where it is larger.

    Raises:
        FacekitError: the photo is smaller than that, has no mask, or cannot be read.
    """
    sample, key = dataset.read(index, size=side), dataset.keys[index]
    height, width = sample.image.shape[:2]
    if min(height, width) < side:
        raise FacekitError(
            f"the photo has {min(height, width)} pixels a side, and edits are measured at {side}",
            where=key,
            remedy=f"--side {min(height, width)}: larger photos are made smaller, and none larger",
        )
    mask = sample.require_mask()
    left, top, length = map(int, middle_square(mask.shape[1], mask.shape[0]))
    square = mask[top : top + length, left : left + length]
    return Face(key, resize_photo(sample.image, side), mask_at(square, side))


def indices_of(dataset: FaceDataset, split: str) -> Sequence[int]:
    """Return the samples of a split. Raises FacekitError where there is none."""
    splits = {name: indices for name, indices in dataset.splits().items() if len(indices)}
    if split not in splits:
        raise FacekitError(
            f"the data has no photos in a split {split!r}",
            remedy=did_you_mean(split, splits) or f"it has {', '.join(splits) or 'none'}",
        )
    return splits[split]


def faces_by_edit(
    dataset: FaceDataset,
    split: str,
    edits: Sequence[NamedEdit],
    wanted: Callable[[NamedEdit, Face], bool],
    *,
    most: int | None,
    side: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Face]]:
    """Return, for each edit, the first photos of a split that are wanted for it. Each photo is read once.

    Args:
        dataset: the data.
        split: whose photos.
        edits: the edits.
        wanted: whether a photo is wanted for an edit.
        most: photos for an edit at most; None for all.
        side: pixels of their side.
        progress: told how many of the split's photos were read, and how many there are.

    Raises:
        FacekitError: there is no such split, or a photo of it cannot be read.
    """
    found: dict[str, list[Face]] = {edit.name: [] for edit in edits}
    indices = indices_of(dataset, split)
    for number, index in enumerate(indices, start=1):
        missing = [edit for edit in edits if most is None or len(found[edit.name]) < most]
        if not missing:
            break
        face = read_face(dataset, int(index), side=side)
        for edit in missing:
            if wanted(edit, face):
                found[edit.name].append(face)
        if progress is not None:
            progress(number, len(indices))
    return found


def fingerprint_of(faces: Sequence[Face]) -> str:
    """Return the SHA-256, in hex, of photos and masks with their names, in order."""
    digest = hashlib.sha256()
    for part in _bytes_of(faces):
        digest.update(part)
    return digest.hexdigest()


def _bytes_of(faces: Sequence[Face]) -> Iterator[bytes]:
    for face in faces:
        yield f"{face.key}\0{face.image.shape}\0".encode()
        yield face.image.tobytes()
        yield face.mask.tobytes()
