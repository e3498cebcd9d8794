"""Checks and hashes of files that the datasets share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from facekit.interfaces import FacekitError, Finding
from facekit_datasets.pictures import read_photo


class Digest(Protocol):
    """A hash that grows."""

    def update(self, content: bytes, /) -> None:
        """Take in bytes."""
        ...


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
        mask_shape: (h, w) of its mask; None where that could not be read.
    """
    try:
        height, width = read_photo(file).shape[:2]
    except FacekitError as error:
        return [Finding("error", str(file), error.message, error.remedy)]
    findings = []
    if height != width:
        message = f"the photo is not square ({width}x{height}); its middle will be used"
        findings.append(Finding("warning", str(file), message))
    if mask_shape is not None and abs(width * mask_shape[0] - mask_shape[1] * height) > max(height, width, *mask_shape):
        message = f"the photo has {width}x{height} pixels and its mask {mask_shape[1]}x{mask_shape[0]}: another aspect"
        findings.append(Finding("error", str(file), message, "photo and mask must show the same part of the picture"))
    return findings
