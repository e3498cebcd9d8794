"""Picture files and folders of them, for commands that make one result a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from facekit.interfaces import FacekitError
from facekit.interfaces.files import read_regular
from facekit.interfaces.image_files import FORMATS

PICTURE_SUFFIXES = tuple(ending for endings in FORMATS.values() for ending in endings)
"""Files of a folder that are taken for pictures; others are left alone."""


@dataclass(frozen=True)
class FolderItem:
    """What became of one result: ``skipped`` was there from before; ``message`` says why it failed, or what a person
    should know."""

    output: Path
    outcome: Literal["written", "skipped", "failed"]
    message: str = ""


Item = TypeVar("Item", bound=FolderItem)


@dataclass
class FolderResult(Generic[Item]):
    """What became of all results, in order."""

    items: list[Item] = field(default_factory=list)

    def of(self, outcome: str) -> list[Item]:
        """Return the results with an outcome."""
        return [item for item in self.items if item.outcome == outcome]

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, else 2."""
        return 2 if self.of("failed") else 0


Progress = Callable[[FolderItem, int, int], None]
"""Told each result, its number from 1, and how many there are."""


def pictures_of(path: Path) -> dict[str, Path]:
    """Return the pictures of a folder by stem, or the one file.

    Raises:
        FacekitError: the folder holds no pictures, or two of one stem.
    """
    if not path.is_dir():
        return {path.stem: path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if not file.is_file() or file.name.startswith(".") or file.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        if file.stem in found:
            raise FacekitError(
                f"{found[file.stem].name} and {file.name} have one name, so their results would too",
                where=str(path),
                remedy="rename or remove one",
            )
        found[file.stem] = file
    if not found:
        raise FacekitError("there are no pictures in this folder", where=str(path))
    return found


def is_result_file(target: Path) -> bool:
    """Return whether results go into one file rather than a folder: one that ends in ``.png``.

    Raises:
        FacekitError: it is a picture file of another form.
    """
    if target.is_dir() or target.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    if target.suffix.lower() != ".png":
        raise FacekitError("results are saved as PNG", where=str(target), remedy="give a file that ends in .png")
    return True


def content_of(paths: Sequence[Path]) -> str:
    """Return the SHA-256 over the contents of files. Raises FacekitError for one that cannot be read."""

    def read(path: Path) -> bytes:
        try:
            return read_regular(path)
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            raise FacekitError(f"the file cannot be read: {error}", where=str(path)) from error

    return digest_of(map(read, paths))


def digest_of(contents: Iterable[bytes]) -> str:
    """Return the SHA-256 over contents of files, as :func:`content_of` has it."""
    digest = hashlib.sha256()
    for data in contents:
        digest.update(f"{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
