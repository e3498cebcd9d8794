"""The photos an evaluator learns from, in memory at the side its network sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facekit.interfaces import FaceDataset, FacekitError

Progress = Callable[[int, int], None]
"""Told how many photos are read, of how many."""


@dataclass(frozen=True)
class Faces:
    """Photos with their masks.

    Args:
        photos: (N, 3, S, S) uint8.
        masks: (N, S, S) uint8 class ids.
    """

    photos: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.photos)

    def content(self) -> str:
        """Return a hash of every pixel and id: the same photos are the same on every machine, whatever their dates."""
        digest = hashlib.sha256(str(tuple(self.photos.shape)).encode())
        for tensor in (self.photos, self.masks):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Portraits:
    """Photos with their attributes.

    Args:
        photos: (N, 3, S, S) uint8.
        attributes: (N, A) float32 of 0 and 1; NaN where a dataset does not say.
    """

    photos: Tensor
    attributes: Tensor

    def __len__(self) -> int:
        return len(self.photos)

    @staticmethod
    def joined(parts: Sequence[Portraits]) -> Portraits:
        """Return the photos of several datasets as one."""
        return Portraits(torch.cat([part.photos for part in parts]), torch.cat([part.attributes for part in parts]))

    def content(self) -> str:
        """Return a hash of every pixel and attribute."""
        digest = hashlib.sha256(str(tuple(self.photos.shape)).encode())
        digest.update(self.photos.contiguous().numpy().tobytes())
        digest.update(self.attributes.nan_to_num(-1).to(torch.int8).contiguous().numpy().tobytes())
        return digest.hexdigest()


def read_portraits(dataset: FaceDataset, rows: Sequence[int], size: int, names: Sequence[str]) -> Portraits:
    """Read photos at a side, from the middle square of each, with the named attributes; masks are not needed.

    Raises:
        FacekitError: the dataset has none of the attributes, or a file cannot be read.
    """
    known = {name: column for column, name in enumerate(dataset.attribute_names)}
    shared = [(place, known[name]) for place, name in enumerate(names) if name in known]
    if not shared:
        raise FacekitError(f"the dataset has none of the attributes {', '.join(names)}", where="attributes")
    photos = np.empty((len(rows), size, size, 3), np.uint8)
    values = np.full((len(rows), len(names)), np.nan, np.float32)
    for position, row in enumerate(rows):
        sample = dataset.read(row, size=size)
        photos[position] = _square(Image.fromarray(sample.image), size, Image.Resampling.LANCZOS)
        assert sample.attributes is not None
        for place, column in shared:
            values[position, place] = sample.attributes[column]
    return Portraits(torch.from_numpy(photos).permute(0, 3, 1, 2), torch.from_numpy(values))


def split_rows(dataset: FaceDataset, splits: Sequence[str], *, held_out: float) -> tuple[list[int], list[int]]:
    """Return the samples to learn from, and those to test on: ``validation``, or an even share of the others.

    Raises:
        FacekitError: the dataset has none of the splits.
    """
    found = dataset.splits()
    rows = [row for name in splits for row in found.get(name, ())]
    if not rows:
        raise FacekitError(
            f"the dataset has no photos in {' or '.join(splits)}",
            where="splits",
            remedy=f"it has {', '.join(name for name, members in found.items() if len(members))}",
        )
    tested = list(found.get("validation", ()))
    if not tested:
        step = max(2, round(1 / held_out))
        tested = rows[::step]
        rows = [row for position, row in enumerate(rows) if position % step]
    if not rows:
        raise FacekitError("there are too few photos to learn from and to test on", where="splits")
    return rows, tested


def read_faces(dataset: FaceDataset, rows: Sequence[int], size: int, progress: Progress | None = None) -> Faces:
    """Read samples at a side, from the middle square of each.

    Raises:
        FacekitError: naming a file that cannot be read.
    """
    photos = np.empty((len(rows), size, size, 3), np.uint8)
    masks = np.empty((len(rows), size, size), np.uint8)
    for position, row in enumerate(rows):
        sample = dataset.read(row, size=size)
        photos[position] = _square(Image.fromarray(sample.image), size, Image.Resampling.LANCZOS)
        masks[position] = _square(Image.fromarray(sample.require_mask()), size, Image.Resampling.NEAREST)
        if progress is not None:
            progress(position + 1, len(rows))
    return Faces(torch.from_numpy(photos).permute(0, 3, 1, 2), torch.from_numpy(masks))


def _square(picture: Image.Image, size: int, resample: Image.Resampling) -> np.ndarray:
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    return np.asarray(picture.resize((size, size), resample, box=(left, top, left + side, top + side)))
