"""Reading CelebA's aligned photos with their attributes, and CelebAMask-HQ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.faces.sides import SIDES_VERSION, exchange_sides, exchanged_sides
from facekit.interfaces import FacekitError, FaceSample, Finding, LabelMap
from facekit_datasets.annotation import (
    MERGED_FOLDER,
    PARTS_FOLDER,
    MergedAnnotation,
    PartAnnotation,
)
from facekit_datasets.celeba_attributes import CelebAAttributesOptions
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions
from facekit_datasets.derived import DerivedAttributes
from facekit_datasets.label_maps import CELEBAMASK_HQ, MergedMasks, choose_label_map
from facekit_datasets.listed import Listed, add_file, as_finding, check_photo
from facekit_datasets.options import select_attributes
from facekit_datasets.pictures import read_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXCHANGED = "exchanged sides"
"""The name of the repair of masks."""

SPLITS = ("train", "validation", "test")

_STARTS = (0, 162_771, 182_638)
"""Where CelebA's own splits begin, by its image number counted from 0."""


class _CelebA(Listed):
    """Photos in one folder, known by name, with attributes in a text file.

    Args:
        root: the folder of all.
        photos: the folder of the photos.
        attribute_file: the file of the attributes.
        layout: what the folder should hold, for messages.
    """

    _pattern: re.Pattern[str]
    _spoken: str

    def __init__(self, root: Path, photos: str, attribute_file: str, layout: str) -> None:
        self._root, self._layout = root.expanduser(), layout
        self._photos, self._attribute_file = self._root / photos, self._root / attribute_file
        if not self._photos.is_dir():
            raise FacekitError(f"there is no folder {photos}", where=str(self._root), remedy=layout)
        found = [file.name for file in self._photos.iterdir() if self._pattern.fullmatch(file.name)]
        if not found:
            raise FacekitError(
                f"there are no photos {self._spoken} in this folder", where=str(self._photos), remedy=layout
            )
        self._files = sorted(found, key=lambda name: (int(Path(name).stem), name))
        self._keys = [Path(name).stem for name in self._files]
        self._rows: dict[str, NDArray[np.bool_]] = {}

    def _read_attributes(self) -> tuple[str, ...]:
        """Read a count, the names, then a photo's name with a 1 or -1 for each of them; return the names."""
        file = self._attribute_file
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) < 2 or not lines[0].strip().isdecimal():
            raise FacekitError("the file must begin with a count and a line of attribute names", where=f"{file}:1")
        names = tuple(lines[1].split())
        for position, line in enumerate(lines[2:], start=3):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != len(names) + 1 or not {*fields[1:]} <= {"1", "-1"}:
                message = f"expected a photo's name and {len(names)} values of 1 or -1"
                raise FacekitError(message, where=f"{file}:{position}")
            self._rows[fields[0]] = np.array([field == "1" for field in fields[1:]])
        return names

    def _row(self, index: int) -> NDArray[np.bool_]:
        """Return what the attribute file says of a photo, in its own order."""
        row = self._rows.get(self._files[index])
        if row is None:
            raise FacekitError(f"there is no line for {self._files[index]}", where=str(self._attribute_file))
        return row

    def _sides(self, side: Mapping[str, str], where: Path) -> dict[str, list[int]]:
        """Return the samples of each split, by the split of each photo's name without its ending."""
        splits: dict[str, list[int]] = {name: [] for name in SPLITS}
        for index, key in enumerate(self._keys):
            if key not in side:
                raise FacekitError(f"there is no line for photo {self._files[index]}", where=str(where))
            splits[side[key]].append(index)
        return {name: indices for name, indices in splits.items() if indices}

    def _stray_photos(self) -> Iterator[Finding]:
        for file in sorted(self._photos.iterdir()):
            if not self._pattern.fullmatch(file.name):
                yield Finding("warning", str(file), f"the file is not a photo {self._spoken} and is not read")

    def _photo(self, index: int) -> Path:
        return self._photos / self._files[index]


class CelebAAttributes(_CelebA):
    """CelebA's photos with attributes and without masks: what an attribute classifier learns from.

    Raises:
        FacekitError: the folder is missing or not laid out as it should be, a text file is damaged, or an attribute is
            asked for that the attribute file does not have.
    """

    _pattern, _spoken = re.compile(r"\d+\.(?:jpg|png)"), "NNNNNN.jpg"

    def __init__(self, options: CelebAAttributesOptions) -> None:
        layout = (
            "it should hold img_align_celeba/NNNNNN.jpg, list_attr_celeba.txt, and list_eval_partition.txt or "
            "identity_CelebA.txt; the data set is on https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
        )
        super().__init__(options.root, "img_align_celeba", "list_attr_celeba.txt", layout)
        if not self._attribute_file.is_file():
            raise FacekitError("there is no such file", where=str(self._attribute_file), remedy=layout)
        names = self._read_attributes()
        self._columns = select_attributes(names, options.attributes, where=str(self._attribute_file))
        self._attribute_names = tuple(names[column] for column in self._columns)
        self._splits = self._find_splits(options)

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo in a split, and of its attributes."""
        digest = hashlib.sha256(json.dumps(["celeba_attributes", self._attribute_names]).encode())
        for index in self._members():
            add_file(digest, self._photo(index), self._root)
            digest.update(self._row(index)[self._columns].tobytes())
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its attributes; with ``size``, the JPEG may be decoded at a fraction."""
        return FaceSample(read_photo(self._photo(index), size=size), None, self._row(index)[self._columns])

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo and its attributes."""
        return check_photo(self._photo(index), None) + _raised(lambda: self._row(index))

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that do not belong, lines without a photo."""
        findings = list(self._stray_photos())
        if absent := sorted(set(self._rows) - set(self._files)):
            message = f"{len(absent)} lines have no photo, {absent[0]} first"
            findings.append(Finding("warning", str(self._attribute_file), message))
        return findings

    def _find_splits(self, options: CelebAAttributesOptions) -> dict[str, list[int]]:
        partition, identity = self._root / "list_eval_partition.txt", self._root / "identity_CelebA.txt"
        if options.split == "official" or (options.split == "auto" and partition.is_file()):
            if not partition.is_file():
                remedy = "get it from the data set's authors, or choose split: by_identity"
                raise FacekitError("the official split needs this file", where=str(partition), remedy=remedy)
            return self._sides({name: SPLITS[at] for name, at in _read_numbers(partition, most=2).items()}, partition)
        if not identity.is_file():
            remedy = "get it from the data set's authors: without it a person could be on two sides"
            raise FacekitError("the split by identity needs this file", where=str(identity), remedy=remedy)
        people = _read_numbers(identity)
        shares = {"validation": options.validation, "test": options.test}
        of_person = {person: _drawn_split(person, shares) for person in set(people.values())}
        return self._sides({name: of_person[person] for name, person in people.items()}, identity)


class CelebAMaskHQ(_CelebA):
    """CelebAMask-HQ. Opening it lists the photos and reads the text files; images are read one at a time.

    Raises:
        FacekitError: the folder is missing or not laid out as it should be, a split names photos that are not there, an
            attribute is asked for that the attribute file does not have, or a label map that does not fit.
    """

    _pattern, _spoken = re.compile(r"(?:0|[1-9]\d*)\.jpg"), "N.jpg"

    def __init__(self, options: CelebAMaskHQOptions, label_maps: Mapping[str, LabelMap]) -> None:
        self._masks = MergedMasks(choose_label_map(options.label_map, label_maps))
        self._label_map = self._masks.label_map
        # A label map without sides has none to repair.
        self._repair_sides = options.sides == "repair" and bool(self._label_map.mirrored)
        layout = (
            "it should hold CelebA-HQ-img/N.jpg, CelebAMask-HQ-mask-anno/0..14/NNNNN_part.png, "
            "CelebAMask-HQ-attribute-anno.txt and CelebA-HQ-to-CelebA-mapping.txt (the last two may be missing); "
            "the data set must be requested from its authors: https://github.com/switchablenorms/CelebAMask-HQ"
        )
        root = options.root.expanduser()
        self._annotation = _find_annotation(root, options.annotation, layout)
        super().__init__(root, "CelebA-HQ-img", "CelebAMask-HQ-attribute-anno.txt", layout)
        self._splits = self._find_splits(options)
        file = self._attribute_file
        in_file = self._read_attributes() if file.is_file() and options.attributes != () else ()
        # Masks are looked at as they are annotated, before classes are merged.
        self._derived = DerivedAttributes(options, CELEBAMASK_HQ)
        known = self._derived.among(in_file)
        columns = select_attributes(known, options.attributes, where=str(file))
        self._attribute_names = tuple(known[column] for column in columns)
        self._columns = {
            position: in_file.index(name)
            for position, name in enumerate(self._attribute_names)
            if name not in self._derived.names
        }

    @property
    def repair_names(self) -> tuple[str, ...]:
        """The exchange of left and right, where the options ask for it."""
        return (EXCHANGED,) if self._repair_sides else ()

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo and mask in a split, and of their attributes."""
        identity: list[object] = [
            *("celebamask_hq", self._attribute_names, *self._masks.identity, *self._derived.identity),
            *([["sides", SIDES_VERSION]] if self._repair_sides else []),
        ]
        digest = hashlib.sha256(json.dumps(identity).encode())
        members = self._members()
        for index in members:
            add_file(digest, self._photo(index), self._root)
            if self._columns:
                digest.update(self._attributes_in_file(index).tobytes())
        numbers = {int(self._keys[index]) for index in members}
        for file, number in self._annotation.entries():
            if number in numbers:
                add_file(digest, file, self._root)
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its mask and attributes; with ``size``, the JPEG may be decoded at a fraction."""
        image = read_photo(self._photo(index), size=size)
        mask = self._annotation.read(int(self._keys[index]))
        exchanged = exchanged_sides(mask, CELEBAMASK_HQ) if self._repair_sides else ()
        if exchanged:
            mask = exchange_sides(mask, CELEBAMASK_HQ, exchanged)
        attributes = None
        if self._attribute_names:
            row = self._attributes_in_file(index)
            attributes = self._derived.fill(row, self._attribute_names, mask, lambda: read_photo(self._photo(index)))
        return FaceSample(image, self._masks(mask), attributes, repairs=(EXCHANGED,) if exchanged else ())

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo, its parts and its attributes."""
        findings, mask_shape = self._annotation.check(int(self._keys[index]))
        return [
            *check_photo(self._photo(index), mask_shape),
            *findings,
            *(_raised(lambda: self._attributes_in_file(index)) if self._columns else ()),
        ]

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that do not belong, a missing attribute file."""
        findings = list(self._stray_photos())
        there = set(self._keys)
        for file, number in self._annotation.entries():
            if number is None:
                message = "the file is not an annotation of this data set and is not read"
                findings.append(Finding("warning", str(file), message))
            elif str(number) not in there:
                findings.append(Finding("warning", str(file), f"there is no photo {number}.jpg for this mask"))
        if not self._attribute_file.is_file():
            message = "there is no attribute file; the photos have no attributes"
            findings.append(Finding("warning", str(self._attribute_file), message))
        return findings

    def _attributes_in_file(self, index: int) -> NDArray[np.bool_]:
        """Return what the attribute file says; False for attributes that are read off the mask."""
        found = np.zeros(len(self._attribute_names), dtype=bool)
        if self._columns:
            found[list(self._columns)] = self._row(index)[list(self._columns.values())]
        return found

    def _find_splits(self, options: CelebAMaskHQOptions) -> dict[str, list[int]]:
        mapping = self._root / "CelebA-HQ-to-CelebA-mapping.txt"
        if options.split == "official" or (options.split == "auto" and mapping.is_file()):
            if not mapping.is_file():
                raise FacekitError(
                    "the official split needs this file",
                    where=str(mapping),
                    remedy="get it from the data set's authors, or choose split: by_index",
                )
            return self._sides(_read_official_split(mapping), mapping)
        position = {int(key): index for index, key in enumerate(self._keys)}
        splits: dict[str, list[int]] = {}
        for split, ranges in options.ranges().items():
            wanted = [number for span in ranges for number in span]
            missing = [number for number in wanted if number not in position]
            if missing:
                raise FacekitError(
                    f"split {split!r} takes photos {getattr(options, split)}, but {len(missing)} of them are not "
                    f"there, {missing[0]}.jpg first",
                    where=str(self._photos),
                    remedy=f"set {split} to photos that are there, or to '' for none",
                )
            if wanted:
                splits[split] = sorted(position[number] for number in wanted)
        return splits


def _find_annotation(root: Path, wanted: str, layout: str) -> PartAnnotation | MergedAnnotation:
    if not root.is_dir():
        raise FacekitError("there is no such folder", where=str(root), remedy=layout)
    merged = wanted == "merged" or (wanted == "auto" and (root / MERGED_FOLDER).is_dir())
    folder = root / (MERGED_FOLDER if merged else PARTS_FOLDER)
    if not folder.is_dir():
        raise FacekitError(f"there is no folder {folder.name}", where=str(root), remedy=layout)
    return MergedAnnotation(folder) if merged else PartAnnotation(folder)


def _raised(read: Callable[[], object]) -> list[Finding]:
    try:
        read()
    except FacekitError as error:
        return [as_finding(error)]
    return []


def _drawn_split(person: int, shares: Mapping[str, float]) -> str:
    """Return the split of a person: it follows from the person's number alone, whoever else is there."""
    chance = int.from_bytes(hashlib.sha256(f"CelebA identity {person}".encode()).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        if chance < share:
            return name
        chance -= share
    return "train"


def _lines(file: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield ``file:line`` and the fields of each line that is not empty."""
    for position, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if fields := line.split():
            yield f"{file}:{position}", fields


def _read_numbers(file: Path, *, most: int | None = None) -> dict[str, int]:
    """Read lines of a photo's name and a number; return the numbers by the names without their endings."""
    numbers: dict[str, int] = {}
    for where, fields in _lines(file):
        if len(fields) != 2 or not fields[1].isdecimal() or (most is not None and int(fields[1]) > most):
            limit = f" of 0 to {most}" if most is not None else ""
            raise FacekitError(f"expected a photo's name and a number{limit}", where=where)
        numbers[Path(fields[0]).stem] = int(fields[1])
    return numbers


def _read_official_split(file: Path) -> dict[str, str]:
    """Return the official split of each photo number, by the number its original has in CelebA."""
    splits: dict[str, str] = {}
    for where, fields in _lines(file):
        if fields[0] == "idx":
            continue
        if len(fields) < 2 or not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise FacekitError("expected the columns idx, orig_idx, orig_file", where=where)
        splits[str(int(fields[0]))] = SPLITS[sum(int(fields[1]) >= start for start in _STARTS) - 1]
    return splits
