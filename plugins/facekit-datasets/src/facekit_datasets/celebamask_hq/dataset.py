"""Reading CelebAMask-HQ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.faces import SIDES_VERSION, exchange_sides, exchanged_sides
from facekit.interfaces import FacekitError, FaceSample, Finding, LabelMap
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions
from facekit_datasets.celebamask_hq.annotation import (
    MERGED_FOLDER,
    PARTS_FOLDER,
    Annotation,
    MergedAnnotation,
    PartAnnotation,
)
from facekit_datasets.celebamask_hq.tables import ATTRIBUTE_FILE, MAPPING_FILE, read_attributes, read_official_split
from facekit_datasets.checking import add_file, check_photo
from facekit_datasets.derived import DerivedAttributes
from facekit_datasets.label_maps import CELEBAMASK_HQ, MergedMasks, choose_label_map
from facekit_datasets.pictures import read_photo
from facekit_datasets.splitting import select_attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_FOLDER = "CelebA-HQ-img"
EXCHANGED = "exchanged sides"
"""The name of the repair."""

_PHOTO_FILE = re.compile(r"(0|[1-9]\d*)\.jpg")
_LAYOUT = (
    "it should hold CelebA-HQ-img/N.jpg, CelebAMask-HQ-mask-anno/0..14/NNNNN_part.png, "
    "CelebAMask-HQ-attribute-anno.txt and CelebA-HQ-to-CelebA-mapping.txt (the last two may be missing); "
    "the data set must be requested from its authors: https://github.com/switchablenorms/CelebAMask-HQ"
)


class CelebAMaskHQ:
    """CelebAMask-HQ. Opening it lists the photos and reads the text files; pictures are read one at a time.

    Raises:
        FacekitError: the folder is missing or not laid out as it should be, a split names photos that are not there, an
            attribute is asked for that the attribute file does not have, or a label map that does not fit.
    """

    def __init__(self, options: CelebAMaskHQOptions, label_maps: Mapping[str, LabelMap]) -> None:
        self._masks = MergedMasks(choose_label_map(options.label_map, label_maps))
        # A label map without sides has none to repair.
        self._repair_sides = options.sides == "repair" and bool(self._masks.label_map.mirrored)
        self._root = options.root.expanduser()
        self._annotation = self._find_annotation(options.annotation)
        photos = self._root / PHOTO_FOLDER
        if not photos.is_dir():
            raise FacekitError(f"there is no folder {PHOTO_FOLDER}", where=str(self._root), remedy=_LAYOUT)
        matches = (_PHOTO_FILE.fullmatch(file.name) for file in photos.iterdir())
        self._numbers = sorted(int(match[1]) for match in matches if match is not None)
        if not self._numbers:
            raise FacekitError("there are no photos N.jpg in this folder", where=str(photos), remedy=_LAYOUT)
        self._keys = [str(number) for number in self._numbers]
        self._splits = self._find_splits(options)
        file = self._root / ATTRIBUTE_FILE
        self._attributes = read_attributes(file) if file.is_file() and options.attributes != () else None
        # Masks are looked at as they are annotated, before classes are merged.
        self._derived = DerivedAttributes(options, CELEBAMASK_HQ)
        in_file = self._attributes.names if self._attributes else ()
        known = self._derived.among(in_file)
        columns = select_attributes(known, options.attributes, where=str(file))
        self._attribute_names = tuple(known[column] for column in columns)
        self._columns = {
            position: in_file.index(name)
            for position, name in enumerate(self._attribute_names)
            if name not in self._derived.names
        }

    @property
    def label_map(self) -> LabelMap:
        """The label map of the options."""
        return self._masks.label_map

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The chosen columns of the attribute file, and attributes that are read off masks."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """The photo numbers, ``0`` and so on."""
        return self._keys

    @property
    def repair_names(self) -> tuple[str, ...]:
        """The exchange of left and right, where the options ask for it."""
        return (EXCHANGED,) if self._repair_sides else ()

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo and mask in a split, and of their attributes."""
        identity: list[object] = [
            "celebamask_hq",
            self._attribute_names,
            *self._masks.identity,
            *self._derived.identity,
        ]
        if self._repair_sides:
            identity.append(["sides", SIDES_VERSION])
        digest = hashlib.sha256(json.dumps(identity).encode())
        members = sorted(index for indices in self._splits.values() for index in indices)
        numbers = {self._numbers[index] for index in members}
        for index in members:
            add_file(digest, self._photo(index), self._root)
            if self._columns:
                digest.update(self._attribute_row(index).tobytes())
        for file, number in self._annotation.entries():
            if number in numbers:
                add_file(digest, file, self._root)
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its mask and attributes; with ``size``, the JPEG may be decoded at a fraction."""
        image = read_photo(self._photo(index), size=size)
        mask = self._annotation.read(self._numbers[index])
        exchanged = exchanged_sides(mask, CELEBAMASK_HQ) if self._repair_sides else ()
        if exchanged:
            mask = exchange_sides(mask, CELEBAMASK_HQ, exchanged)
        attributes = None
        if self._attribute_names:
            row = self._attribute_row(index)
            attributes = self._derived.fill(row, self._attribute_names, mask, lambda: read_photo(self._photo(index)))
        return FaceSample(image, self._masks(mask), attributes, repairs=(EXCHANGED,) if exchanged else ())

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo, its parts and its attributes."""
        findings, mask_shape = self._annotation.check(self._numbers[index])
        findings = check_photo(self._photo(index), mask_shape) + findings
        if self._columns:
            try:
                self._attribute_row(index)
            except FacekitError as error:
                findings.append(Finding("error", str(error.where), error.message, error.remedy))
        return findings

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that do not belong, a missing attribute file."""
        return list(self._stray_files())

    def _stray_files(self) -> Iterator[Finding]:
        photos = self._root / PHOTO_FOLDER
        for file in sorted(photos.iterdir()):
            if _PHOTO_FILE.fullmatch(file.name) is None:
                yield Finding("warning", str(file), "the file is not a photo N.jpg and is not read")
        numbers = set(self._numbers)
        for file, number in self._annotation.entries():
            if number is None:
                yield Finding("warning", str(file), "the file is not an annotation of this data set and is not read")
            elif number not in numbers:
                yield Finding("warning", str(file), f"there is no photo {number}.jpg for this mask")
        if not (self._root / ATTRIBUTE_FILE).is_file():
            message = "there is no attribute file; the photos have no attributes"
            yield Finding("warning", str(self._root / ATTRIBUTE_FILE), message)

    def _photo(self, index: int) -> Path:
        return self._root / PHOTO_FOLDER / f"{self._numbers[index]}.jpg"

    def _attribute_row(self, index: int) -> NDArray[np.bool_]:
        """Return what the attribute file says; False for attributes that are read off the mask."""
        found = np.zeros(len(self._attribute_names), dtype=bool)
        if not self._columns:
            return found
        assert self._attributes is not None
        row = self._attributes.rows.get(self._numbers[index])
        if row is None:
            where = str(self._root / ATTRIBUTE_FILE)
            raise FacekitError(f"there is no line for {self._numbers[index]}.jpg", where=where)
        found[list(self._columns)] = self._attributes.values[row, list(self._columns.values())]
        return found

    def _find_annotation(self, wanted: str) -> Annotation:
        if not self._root.is_dir():
            raise FacekitError("there is no such folder", where=str(self._root), remedy=_LAYOUT)
        merged, parts = self._root / MERGED_FOLDER, self._root / PARTS_FOLDER
        if wanted == "merged" or (wanted == "auto" and merged.is_dir()):
            if not merged.is_dir():
                raise FacekitError(f"there is no folder {MERGED_FOLDER}", where=str(self._root), remedy=_LAYOUT)
            return MergedAnnotation(merged)
        if not parts.is_dir():
            raise FacekitError(f"there is no folder {PARTS_FOLDER}", where=str(self._root), remedy=_LAYOUT)
        return PartAnnotation(parts)

    def _find_splits(self, options: CelebAMaskHQOptions) -> dict[str, list[int]]:
        mapping = self._root / MAPPING_FILE
        if options.split == "official" or (options.split == "auto" and mapping.is_file()):
            if not mapping.is_file():
                raise FacekitError(
                    "the official split needs this file",
                    where=str(mapping),
                    remedy="get it from the data set's authors, or choose split: by_index",
                )
            return self._official(mapping)
        position = {number: index for index, number in enumerate(self._numbers)}
        splits: dict[str, list[int]] = {}
        for split, ranges in options.ranges().items():
            wanted = [number for span in ranges for number in span]
            missing = [number for number in wanted if number not in position]
            if missing:
                raise FacekitError(
                    f"split {split!r} takes photos {getattr(options, split)}, but {len(missing)} of them are not "
                    f"there, {missing[0]}.jpg first",
                    where=str(self._root / PHOTO_FOLDER),
                    remedy=f"set {split} to photos that are there, or to '' for none",
                )
            if wanted:
                splits[split] = sorted(position[number] for number in wanted)
        return splits

    def _official(self, mapping: Path) -> dict[str, list[int]]:
        official = read_official_split(mapping)
        splits: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
        for index, number in enumerate(self._numbers):
            if number not in official:
                raise FacekitError(f"there is no line for photo {number}.jpg", where=str(mapping))
            splits[official[number]].append(index)
        return {split: indices for split, indices in splits.items() if indices}
