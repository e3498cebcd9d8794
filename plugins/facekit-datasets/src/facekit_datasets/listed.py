"""What the datasets share: keys, attributes and splits by name, and how files are hashed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from facekit.interfaces import NO_LABELS, FacekitError, Finding, LabelMap


class Digest(Protocol):
    """A hash that grows."""

    def update(self, content: bytes, /) -> None:
        """Take in bytes."""
        ...


class Listed:
    """A dataset whose samples are known when it is opened; subclasses fill in the fields."""

    _label_map: LabelMap = NO_LABELS
    _keys: Sequence[str]
    _attribute_names: tuple[str, ...]
    _splits: Mapping[str, Sequence[int]]

    @property
    def label_map(self) -> LabelMap:
        """What the ids of the masks mean; without classes where there are no masks."""
        return self._label_map

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes of each sample, in their order."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """The name of each sample."""
        return self._keys

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def _members(self) -> list[int]:
        """Return the samples that belong to a split, rising."""
        return sorted(index for indices in self._splits.values() for index in indices)


def add_file(digest: Digest, file: Path, root: Path) -> None:
    """Add a file's place under a root, size and date to a hash; a missing file by its name alone."""
    try:
        status = file.stat()
        said = f"{status.st_size}:{status.st_mtime_ns}"
    except FileNotFoundError:
        said = "missing"
    digest.update(f"{file.relative_to(root).as_posix()}\0{said}\n".encode())


def check_photo(file: Path, mask_shape: tuple[int, ...] | None) -> list[Finding]:
    """Return what is wrong with a photo, decoded in full.

    Args:
        file: the photo.
        mask_shape: (h, w) of its mask; None where that could not be read, or there is none.
    """
    from facekit_datasets.pictures import read_photo

    try:
        height, width = read_photo(file).shape[:2]
    except FacekitError as error:
        return [as_finding(error)]
    findings = []
    if height != width:
        message = f"the photo is not square ({width}x{height}); its middle will be used"
        findings.append(Finding("warning", str(file), message))
    if mask_shape is not None and abs(width * mask_shape[0] - mask_shape[1] * height) > max(height, width, *mask_shape):
        message = f"the photo has {width}x{height} pixels and its mask {mask_shape[1]}x{mask_shape[0]}: another aspect"
        findings.append(Finding("error", str(file), message, "photo and mask must show the same part of the picture"))
    return findings


def as_finding(error: FacekitError) -> Finding:
    """Return what reading a sample raised as a finding."""
    return Finding("error", str(error.where), error.message, error.remedy)
