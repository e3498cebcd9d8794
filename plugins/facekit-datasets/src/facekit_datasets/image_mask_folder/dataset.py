"""Reading folders of photos and masks."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError, FaceSample, Finding, LabelMap, did_you_mean
from facekit_datasets.checking import add_file, check_photo
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions, Split
from facekit_datasets.pictures import read_id_mask, read_photo
from facekit_datasets.splitting import select_attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
KEY_COLUMN = "key"


class ImageMaskFolder:
    """Photos and masks that belong together by name. Opening it lists the photos; pictures are read one at a time.

    A photo's key is its path in the photo folder without the ending; its mask has the same path, ending in ``.png``.

    Raises:
        FacekitError: a folder or file is missing, two photos share a name, the label map is unknown, a split file names
            a photo that is not there or one that another split has, or the attribute file is not as it should be.
    """

    def __init__(self, options: ImageMaskFolderOptions, label_maps: Mapping[str, LabelMap]) -> None:
        if options.label_map not in label_maps:
            remedy = did_you_mean(options.label_map, label_maps) or f"known: {', '.join(label_maps) or 'none'}"
            raise FacekitError(f"no plugin offers the label map {options.label_map!r}", remedy=remedy)
        self._label_map = label_maps[options.label_map]
        self._root = options.root.expanduser()
        self._photo_folder, self._mask_folder = self._root / options.photos, self._root / options.masks
        for name, folder in (("photos", self._photo_folder), ("masks", self._mask_folder)):
            if not folder.is_dir():
                remedy = f"set root, or {name} if the folder has another name"
                raise FacekitError(f"there is no folder of {name}", where=str(folder), remedy=remedy)
        self._photos = _list_photos(self._photo_folder)
        self._keys = list(self._photos)
        self._attribute_file = None if options.attribute_file is None else self._root / options.attribute_file
        self._attribute_names: tuple[str, ...] = ()
        self._attributes: dict[str, NDArray[np.bool_]] = {}
        if self._attribute_file is not None:
            self._read_attributes(self._attribute_file, options.attributes)
        elif options.attributes:
            remedy = "set attribute_file to the CSV file that holds them"
            raise FacekitError("attributes are chosen, but there is no attribute file", remedy=remedy)
        self._splits = (
            _random_splits(len(self._keys), options.fractions, options.seed)
            if options.split_files is None
            else self._listed_splits({split: self._root / file for split, file in options.split_files.items()})
        )

    @property
    def label_map(self) -> LabelMap:
        """The label map of the options."""
        return self._label_map

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The chosen columns of the attribute file; empty without one."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """Each photo's path in the photo folder, without the ending."""
        return self._keys

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo and mask in a split, and of their attributes."""
        identity = ["image_mask_folder", self._label_map.name, self._attribute_names]
        digest = hashlib.sha256(json.dumps(identity).encode())
        for index in sorted(index for indices in self._splits.values() for index in indices):
            key = self._keys[index]
            add_file(digest, self._photos[key], self._root)
            add_file(digest, self._mask(key), self._root)
            if key in self._attributes:
                digest.update(self._attributes[key].tobytes())
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its mask and attributes; with ``size``, a JPEG may be decoded at a fraction."""
        key = self._keys[index]
        image = read_photo(self._photos[key], size=size)
        return FaceSample(image, self._read_mask(key), self._attribute_row(key) if self._attribute_names else None)

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo, its mask and its attributes."""
        key = self._keys[index]
        findings, shape = [], None
        try:
            shape = self._read_mask(key).shape
        except FacekitError as error:
            findings.append(Finding("error", str(error.where), error.message, error.remedy))
        findings = check_photo(self._photos[key], shape) + findings
        if self._attribute_names:
            try:
                self._attribute_row(key)
            except FacekitError as error:
                findings.append(Finding("error", str(error.where), error.message, error.remedy))
        return findings

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples in splits: masks without photos and the reverse, other files."""
        findings = []
        in_splits = {self._keys[index] for indices in self._splits.values() for index in indices}
        for key, photo in self._photos.items():
            if key not in in_splits and not self._mask(key).is_file():
                findings.append(Finding("warning", str(photo), "the photo has no mask (it is in no split)"))
        for file in _files(self._mask_folder):
            key = _key(file, self._mask_folder)
            if file.suffix.lower() != ".png":
                findings.append(Finding("warning", str(file), "the file is not a PNG and is not read as a mask"))
            elif key not in self._photos:
                findings.append(Finding("warning", str(file), "there is no photo for this mask"))
        findings.extend(
            Finding("warning", str(file), "the file is not a picture and is not read")
            for file in _files(self._photo_folder)
            if file.suffix.lower() not in PHOTO_ENDINGS
        )
        findings.extend(
            Finding("warning", str(self._attribute_file), f"there is no photo for the key {key!r}")
            for key in sorted(set(self._attributes) - set(self._photos))
        )
        return findings

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

    def _attribute_row(self, key: str) -> NDArray[np.bool_]:
        if key not in self._attributes:
            raise FacekitError(f"there is no line for the key {key!r}", where=str(self._attribute_file))
        return self._attributes[key]

    def _read_attributes(self, file: Path, wanted: tuple[str, ...] | None) -> None:
        if not file.is_file():
            raise FacekitError("there is no such attribute file", where=str(file))
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            if header[:1] != [KEY_COLUMN]:
                raise FacekitError(f"the first column must be called {KEY_COLUMN!r}", where=f"{file}:1")
            known = tuple(header[1:])
            columns = select_attributes(known, wanted, where=str(file))
            self._attribute_names = tuple(known[column] for column in columns)
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header) or not {*row[1:]} <= {"0", "1"}:
                    message = f"expected a key and {len(known)} values of 0 or 1"
                    raise FacekitError(message, where=f"{file}:{rows.line_num}")
                self._attributes[row[0]] = np.array([row[column + 1] == "1" for column in columns], dtype=bool)

    def _listed_splits(self, files: Mapping[str, Path]) -> dict[str, list[int]]:
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


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def _key(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _list_photos(folder: Path) -> dict[str, Path]:
    photos: dict[str, Path] = {}
    for file in _files(folder):
        if file.suffix.lower() not in PHOTO_ENDINGS:
            continue
        key = _key(file, folder)
        if key in photos:
            raise FacekitError(f"{photos[key].name} and {file.name} share a mask name", where=str(file.parent))
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
