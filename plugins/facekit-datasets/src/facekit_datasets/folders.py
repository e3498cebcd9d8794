"""Folders of photos, with masks or without: their keys, attributes and splits."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError, FaceSample, Finding, LabelMap, did_you_mean
from facekit_datasets.derived import DerivedAttributes
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions
from facekit_datasets.listed import Listed, add_file, as_finding, check_photo
from facekit_datasets.options import PhotoFolderOptions, Split, select_attributes
from facekit_datasets.pictures import read_id_mask, read_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
KEY_COLUMN = "key"


class PhotoFolder(Listed):
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
        self._attribute_names = ()
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

    def _existing_folder(self, name: str, folder: Path) -> Path:
        path = self._root / folder
        if not path.is_dir():
            remedy = f"set root, or {name} if the folder has another name"
            raise FacekitError(f"there is no folder of {name}", where=str(path), remedy=remedy)
        return path

    def _fingerprint(self, identity: Sequence[object]) -> str:
        """Return a hash of an identity, of the files of each sample in a split, and of its attributes."""
        digest = hashlib.sha256(json.dumps(identity).encode())
        for key in (self._keys[index] for index in self._members()):
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
            return [as_finding(error)]
        return []

    def _other_files(self) -> Iterator[Finding]:
        """Find what lies among the photos and is none, and lines of the attribute file without a photo."""
        named = {self._attribute_file, *self._split_files.values()}
        for file in _list_files(self._photo_folder):
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


class ImageFolder(PhotoFolder):
    """Photos without masks. Opening it lists the photos; pictures are read one at a time.

    Raises:
        FacekitError: as :class:`PhotoFolder`.
    """

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo in a split, and of its attributes."""
        return self._fingerprint(["image_folder", self._attribute_names])

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its attributes; with ``size``, a JPEG may be decoded at a fraction."""
        return FaceSample(self._read_photo(index, size), None, self._attributes_of(index))

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo and its attributes."""
        return check_photo(self._photos[self._keys[index]], None) + self._check_attributes(index)

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that are not read, photos that are there twice."""
        return [*self._other_files(), *self._copies()]

    def _copies(self) -> Iterator[Finding]:
        """Find photos of one split whose files are equal; `facekit data check` finds copies in two splits itself."""
        split_of = {self._keys[index]: split for split, indices in self._splits.items() for index in indices}

        def length(file: Path) -> int:
            return file.stat().st_size if file.is_file() else -1

        lengths = Counter(length(self._photos[key]) for key in split_of)
        first: dict[tuple[str, str], str] = {}
        for key in sorted(split_of):
            file = self._photos[key]
            if lengths[length(file)] == 1:  # files of different lengths are different
                continue
            try:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
            except OSError:  # check() says so of the sample
                continue
            other = first.setdefault((content, split_of[key]), key)
            if other == key:
                continue
            message = f"the photo is a copy of {self._photos[other].relative_to(self._photo_folder)}"
            yield Finding("warning", str(file), message, "remove one of them")


class ImageMaskFolder(PhotoFolder):
    """Photos and masks that belong together by name. Opening it lists the photos; pictures are read one at a time.

    A photo's mask has the photo's key as its path in the folder of masks, ending in ``.png``.

    Raises:
        FacekitError: as :class:`PhotoFolder`, or there is no folder of masks, or the
            label map is unknown.
    """

    def __init__(self, options: ImageMaskFolderOptions, label_maps: Mapping[str, LabelMap]) -> None:
        if options.label_map not in label_maps:
            remedy = did_you_mean(options.label_map, label_maps) or f"known: {', '.join(label_maps) or 'none'}"
            raise FacekitError(f"no plugin offers the label map {options.label_map!r}", remedy=remedy)
        self._label_map = label_maps[options.label_map]
        self._derived = DerivedAttributes(options, self._label_map)
        super().__init__(options, derived=self._derived.names)
        self._mask_folder = self._existing_folder("masks", options.masks)

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo and mask in a split, and of their attributes."""
        return self._fingerprint(
            ["image_mask_folder", self._label_map.name, self._attribute_names, *self._derived.identity]
        )

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its mask and attributes; with ``size``, a JPEG may be decoded at a fraction."""
        image, mask = self._read_photo(index, size), self._read_mask(self._keys[index])
        attributes = self._attributes_of(index)
        if attributes is not None:
            attributes = self._derived.fill(
                attributes, self._attribute_names, mask, lambda: self._read_photo(index, None)
            )
        return FaceSample(image, mask, attributes)

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo, its mask and its attributes."""
        key = self._keys[index]
        findings, shape = [], None
        try:
            shape = self._read_mask(key).shape
        except FacekitError as error:
            findings.append(as_finding(error))
        return check_photo(self._photos[key], shape) + findings + self._check_attributes(index)

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples in splits: masks without photos and the reverse, other files."""
        findings = []
        in_splits = {self._keys[index] for index in self._members()}
        for key, photo in self._photos.items():
            if key not in in_splits and not self._mask(key).is_file():
                findings.append(Finding("warning", str(photo), "the photo has no mask (it is in no split)"))
        for file in _list_files(self._mask_folder):
            key = _key_of(file, self._mask_folder)
            if file.suffix.lower() != ".png":
                findings.append(Finding("warning", str(file), "the file is not a PNG and is not read as a mask"))
            elif key not in self._photos:
                findings.append(Finding("warning", str(file), "there is no photo for this mask"))
        return [*findings, *self._other_files()]

    def _files_of(self, key: str) -> list[Path]:
        return [*super()._files_of(key), self._mask(key)]

    def _mask(self, key: str) -> Path:
        return self._mask_folder / f"{key}.png"

    def _read_mask(self, key: str) -> NDArray[np.uint8]:
        file = self._mask(key)
        if not file.is_file():
            # A mask of a lossy format under the right name deserves a better answer than "missing".
            for ending in (".jpg", ".jpeg"):
                if file.with_suffix(ending).is_file():
                    return read_id_mask(file.with_suffix(ending))
            remedy = "add the mask, or leave the photo out of the splits"
            raise FacekitError("the photo has no mask", where=str(file), remedy=remedy)
        mask = read_id_mask(file)
        if (largest := int(mask.max())) >= len(self._label_map):
            raise FacekitError(
                f"id {largest} is outside the label map {self._label_map.name!r}, which ends at "
                f"{len(self._label_map) - 1}",
                where=str(file),
                remedy="choose the label map the masks were made with",
            )
        return mask


def _list_files(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders, sorted; hidden files and folders (``.thumbnails``) are none."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _key_of(file: Path, folder: Path) -> str:
    """Return a file's path in a folder, without its ending."""
    return file.relative_to(folder).with_suffix("").as_posix()


def _list_photos(folder: Path) -> dict[str, Path]:
    photos: dict[str, Path] = {}
    for file in _list_files(folder):
        if file.suffix.lower() not in PHOTO_ENDINGS:
            continue
        key = _key_of(file, folder)
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
