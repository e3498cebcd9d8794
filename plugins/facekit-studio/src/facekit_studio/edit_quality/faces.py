"""Photos with their masks at one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facekit.data.geometry import middle_square, resize_photo
from facekit.interfaces import FaceDataset, FacekitError
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


def fingerprint_of(faces: Sequence[Face]) -> str:
    """Return the SHA-256, in hex, of photos and masks with their names, in order."""
    digest = hashlib.sha256()
    for face in faces:
        digest.update(f"{face.key}\0{face.image.shape}\0".encode())
        digest.update(face.image.tobytes())
        digest.update(face.mask.tobytes())
    return digest.hexdigest()
