"""Reading CelebA's aligned photos and their attributes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import NO_LABELS, FacekitError, FaceSample, Finding, LabelMap
from facekit_datasets.celeba_attributes import CelebAAttributesOptions
from facekit_datasets.checking import add_file, check_photo
from facekit_datasets.pictures import read_photo
from facekit_datasets.splitting import select_attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTO_FOLDER = "img_align_celeba"
ATTRIBUTE_FILE, IDENTITY_FILE, PARTITION_FILE = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"
PARTITIONS = ("train", "validation", "test")

_PHOTO_FILE = re.compile(r"\d+\.(?:jpg|png)")
_LAYOUT = (
    "it should hold img_align_celeba/NNNNNN.jpg, list_attr_celeba.txt, and list_eval_partition.txt or "
    "identity_CelebA.txt; the data set is on https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
)


class CelebAAttributes:
    """CelebA's photos with attributes and without masks: what an attribute classifier learns from.

    Raises:
        FacekitError: the folder is missing or not laid out as it should be, a text file is damaged, or an attribute is
            asked for that the attribute file does not have.
    """

    def __init__(self, options: CelebAAttributesOptions) -> None:
        self._root = options.root.expanduser()
        photos = self._root / PHOTO_FOLDER
        if not photos.is_dir():
            raise FacekitError(f"there is no folder {PHOTO_FOLDER}", where=str(self._root), remedy=_LAYOUT)
        self._files = sorted(file.name for file in photos.iterdir() if _PHOTO_FILE.fullmatch(file.name))
        if not self._files:
            raise FacekitError("there are no photos NNNNNN.jpg in this folder", where=str(photos), remedy=_LAYOUT)
        self._keys = [Path(file).stem for file in self._files]
        file = self._root / ATTRIBUTE_FILE
        if not file.is_file():
            raise FacekitError("there is no such file", where=str(file), remedy=_LAYOUT)
        names, self._rows = _read_attributes(file)
        self._columns = select_attributes(names, options.attributes, where=str(file))
        self._attribute_names = tuple(names[column] for column in self._columns)
        self._splits = self._find_splits(options)

    @property
    def label_map(self) -> LabelMap:
        """The one without classes: there are no masks."""
        return NO_LABELS

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The chosen columns of the attribute file."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """The photos' numbers, ``000093`` and so on."""
        return self._keys

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo in a split, and of its attributes."""
        digest = hashlib.sha256(json.dumps(["celeba_attributes", self._attribute_names]).encode())
        for index in sorted(index for indices in self._splits.values() for index in indices):
            add_file(digest, self._photo(index), self._root)
            digest.update(self._attributes(index).tobytes())
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its attributes; with ``size``, the JPEG may be decoded at a fraction."""
        return FaceSample(read_photo(self._photo(index), size=size), None, self._attributes(index))

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo and its attributes."""
        findings = check_photo(self._photo(index), None)
        try:
            self._attributes(index)
        except FacekitError as error:
            findings.append(Finding("error", str(error.where), error.message, error.remedy))
        return findings

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that do not belong, lines without a photo."""
        photos = self._root / PHOTO_FOLDER
        findings = [
            Finding("warning", str(file), "the file is not a photo NNNNNN.jpg and is not read")
            for file in sorted(photos.iterdir())
            if not _PHOTO_FILE.fullmatch(file.name)
        ]
        if absent := sorted(set(self._rows) - set(self._files)):
            message = f"{len(absent)} lines have no photo, {absent[0]} first"
            findings.append(Finding("warning", str(self._root / ATTRIBUTE_FILE), message))
        return findings

    def _photo(self, index: int) -> Path:
        return self._root / PHOTO_FOLDER / self._files[index]

    def _attributes(self, index: int) -> NDArray[np.bool_]:
        row = self._rows.get(self._files[index])
        if row is None:
            where = str(self._root / ATTRIBUTE_FILE)
            raise FacekitError(f"there is no line for {self._files[index]}", where=where)
        return row[self._columns]

    def _find_splits(self, options: CelebAAttributesOptions) -> dict[str, list[int]]:
        partition, identity = self._root / PARTITION_FILE, self._root / IDENTITY_FILE
        if options.split == "official" or (options.split == "auto" and partition.is_file()):
            if not partition.is_file():
                remedy = "get it from the data set's authors, or choose split: by_identity"
                raise FacekitError("the official split needs this file", where=str(partition), remedy=remedy)
            side = {name: PARTITIONS[number] for name, number in _read_numbers(partition, most=2).items()}
            where = partition
        else:
            if not identity.is_file():
                remedy = "get it from the data set's authors: without it a person could be on two sides"
                raise FacekitError("the split by identity needs this file", where=str(identity), remedy=remedy)
            people = _read_numbers(identity)
            shares = {"validation": options.validation, "test": options.test}
            of_person = {person: _drawn_split(person, shares) for person in set(people.values())}
            side = {name: of_person[person] for name, person in people.items()}
            where = identity
        splits: dict[str, list[int]] = {name: [] for name in PARTITIONS}
        for index, name in enumerate(self._files):
            if name not in side:
                raise FacekitError(f"there is no line for photo {name}", where=str(where))
            splits[side[name]].append(index)
        return {name: indices for name, indices in splits.items() if indices}


def _drawn_split(person: int, shares: Mapping[str, float]) -> str:
    """Return the split of a person: it follows from the person's number alone, whoever else is there."""
    chance = int.from_bytes(hashlib.sha256(f"CelebA identity {person}".encode()).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        if chance < share:
            return name
        chance -= share
    return "train"


def _read_attributes(file: Path) -> tuple[tuple[str, ...], dict[str, NDArray[np.bool_]]]:
    """Read a count, the names, then a photo's name with a 1 or -1 for each of them."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise FacekitError("the file must begin with a count and a line of attribute names", where=f"{file}:1")
    names = tuple(lines[1].split())
    rows: dict[str, NDArray[np.bool_]] = {}
    for position, line in enumerate(lines[2:], start=3):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != len(names) + 1 or not {*fields[1:]} <= {"1", "-1"}:
            message = f"expected a photo's name and {len(names)} values of 1 or -1"
            raise FacekitError(message, where=f"{file}:{position}")
        rows[fields[0]] = np.array([field == "1" for field in fields[1:]])
    return names, rows


def _read_numbers(file: Path, *, most: int | None = None) -> dict[str, int]:
    """Read lines of a photo's name and a number."""
    numbers: dict[str, int] = {}
    for position, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not fields[1].isdecimal() or (most is not None and int(fields[1]) > most):
            limit = f" of 0 to {most}" if most is not None else ""
            raise FacekitError(f"expected a photo's name and a number{limit}", where=f"{file}:{position}")
        numbers[fields[0]] = int(fields[1])
    return numbers
