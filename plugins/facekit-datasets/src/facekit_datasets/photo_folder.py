"""What datasets of photos in a folder have in common: their keys, attributes and splits."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError, Finding, did_you_mean
from facekit_datasets.checking import add_file
from facekit_datasets.folder_options import PhotoFolderOptions, Split
from facekit_datasets.pictures import read_photo
from facekit_datasets.splitting import select_attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
KEY_COLUMN = "key"


class PhotoFolder:
    """Photos in a folder, by name, with attributes from a CSV file and splits by chance or by lists.

    A photo's key is its path in the photo folder without the ending.

    Args:
        options: which folder, attributes and splits.
        derived: attributes that are read off masks in place of the attribute file's columns.

    Raises:
        FacekitError: a folder or file is missing, two photos share a name, a split file names a photo that is not there
            or one that another split has, or the attribute file is not as it should be.
    """

    def __init__(self, options: PhotoFolderOptions, *, derived: tuple[str, ...] = ()) -> None:
        self._root = options.root.expanduser()
        self._photo_folder = self._existing_folder("photos", options.photos)
        self._photos = _list_photos(self._photo_folder)
        self._keys = list(self._photos)
        self._attribute_file = None if options.attribute_file is None else self._root / options.attribute_file
        self._derived_names = derived
        self._attribute_names: tuple[str, ...] = ()
        self._attributes: dict[str, NDArray[np.bool_]] = {}
        if self._attribute_file is not None:
            self._read_attributes(self._attribute_file, options.attributes)
        elif derived:
            columns = select_attributes(derived, options.attributes, where="mask_attributes")
            self._attribute_names = tuple(derived[column] for column in columns)
        elif options.attributes:
            remedy = "set attribute_file to the CSV file that holds them"
            raise FacekitError("attributes are chosen, but there is no attribute file", remedy=remedy)
        self._split_files = {split: self._root / file for split, file in (options.split_files or {}).items()}
        self._splits = (
            self._listed_splits(self._split_files)
            if self._split_files
            else _random_splits(len(self._keys), options.fractions, options.seed)
        )

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The chosen columns of the attribute file, and attributes that are read off masks; empty without both."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """Each photo's path in the photo folder, without the ending."""
        return self._keys

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def _existing_folder(self, name: str, folder: Path) -> Path:
        path = self._root / folder
        if not path.is_dir():
            remedy = f"set root, or {name} if the folder has another name"
            raise FacekitError(f"there is no folder of {name}", where=str(path), remedy=remedy)
        return path

    def _fingerprint(self, identity: Sequence[object]) -> str:
        """Return a hash of an identity, of the files of each sample in a split, and of its attributes."""
        digest = hashlib.sha256(json.dumps(identity).encode())
        for index in sorted(index for indices in self._splits.values() for index in indices):
            key = self._keys[index]
            for file in self._files_of(key):
                add_file(digest, file, self._root)
            if key in self._attributes:
                digest.update(self._attributes[key].tobytes())
        return digest.hexdigest()

    def _files_of(self, key: str) -> list[Path]:
        """Return the files that a sample is read from; its photo is the first."""
        return [self._photos[key]]

    def _read_photo(self, index: int, size: int | None) -> NDArray[np.uint8]:
        return read_photo(self._photos[self._keys[index]], size=size)

    def _attributes_of(self, index: int) -> NDArray[np.bool_] | None:
        """Return a sample's attributes, False for those that are read off masks; None where the dataset has none."""
        if not self._attribute_names:
            return None
        if self._attribute_file is None:
            return np.zeros(len(self._attribute_names), dtype=bool)
        key = self._keys[index]
        if key not in self._attributes:
            raise FacekitError(f"there is no line for the key {key!r}", where=str(self._attribute_file))
        return self._attributes[key]

    def _check_attributes(self, index: int) -> list[Finding]:
        try:
            self._attributes_of(index)
        except FacekitError as error:
            return [Finding("error", str(error.where), error.message, error.remedy)]
        return []

    def _other_files(self) -> Iterator[Finding]:
        """Find what lies among the photos and is none, and lines of the attribute file without a photo."""
        named = {self._attribute_file, *self._split_files.values()}
        for file in list_files(self._photo_folder):
            if file.suffix.lower() not in PHOTO_ENDINGS and file not in named:
                yield Finding("warning", str(file), "the file is not a picture and is not read")
        for key in sorted(set(self._attributes) - set(self._photos)):
            yield Finding("warning", str(self._attribute_file), f"there is no photo for the key {key!r}")

    def _read_attributes(self, file: Path, wanted: tuple[str, ...] | None) -> None:
        if not file.is_file():
            raise FacekitError("there is no such attribute file", where=str(file))
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            if header[:1] != [KEY_COLUMN]:
                raise FacekitError(f"the first column must be called {KEY_COLUMN!r}", where=f"{file}:1")
            known = tuple(header[1:])
            offered = (*known, *(name for name in self._derived_names if name not in known))
            columns = select_attributes(offered, wanted, where=str(file))
            self._attribute_names = tuple(offered[column] for column in columns)
            read = [name not in self._derived_names for name in self._attribute_names]
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header) or not {*row[1:]} <= {"0", "1"}:
                    message = f"expected a key and {len(known)} values of 0 or 1"
                    raise FacekitError(message, where=f"{file}:{rows.line_num}")
                self._attributes[row[0]] = np.array(
                    [in_file and row[column + 1] == "1" for column, in_file in zip(columns, read, strict=True)],
                    dtype=bool,
                )

    def _listed_splits(self, files: Mapping[Split, Path]) -> dict[str, list[int]]:
        position = {key: index for index, key in enumerate(self._keys)}
        owner: dict[str, str] = {}
        splits: dict[str, list[int]] = {}
        for split, file in files.items():
            if not file.is_file():
                raise FacekitError(f"there is no such list of the {split} split", where=str(file))
            for line, key in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                if not (key := key.strip()):
                    continue
                if key not in position:
                    remedy = did_you_mean(key, self._keys) or f"names are given without ending, e.g. {self._keys[0]!r}"
                    raise FacekitError(f"there is no photo {key!r}", where=f"{file}:{line}", remedy=remedy)
                if key in owner:
                    message = f"photo {key!r} is already in the {owner[key]} split; splits never overlap"
                    raise FacekitError(message, where=f"{file}:{line}")
                owner[key] = split
                splits.setdefault(split, []).append(position[key])
        return {split: sorted(indices) for split, indices in splits.items()}


def list_files(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders, sorted; hidden files and folders (``.thumbnails``) are none."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def key_of(file: Path, folder: Path) -> str:
    """Return a file's path in a folder, without its ending."""
    return file.relative_to(folder).with_suffix("").as_posix()


def _list_photos(folder: Path) -> dict[str, Path]:
    photos: dict[str, Path] = {}
    for file in list_files(folder):
        if file.suffix.lower() not in PHOTO_ENDINGS:
            continue
        key = key_of(file, folder)
        if key in photos:
            raise FacekitError(
                f"{photos[key].name} and {file.name} share a name",
                where=str(file.parent),
                remedy="a photo is known by its name without the ending: rename or remove one of them",
            )
        photos[key] = file
    if not photos:
        remedy = f"photos end in {', '.join(PHOTO_ENDINGS)}"
        raise FacekitError("there are no photos in this folder", where=str(folder), remedy=remedy)
    return photos


def _random_splits(count: int, fractions: Mapping[Split, float], seed: int) -> dict[str, list[int]]:
    # Raw words of Philox: their values are the same in every version of NumPy.
    order = np.argsort(np.random.Philox(key=seed).random_raw(count), kind="stable")
    splits: dict[str, list[int]] = {}
    share, start = 0.0, 0
    for split, fraction in fractions.items():
        share += fraction
        end = min(count, round(share * count))
        if end > start:
            splits[split] = sorted(order[start:end].tolist())
        start = end
    return splits
