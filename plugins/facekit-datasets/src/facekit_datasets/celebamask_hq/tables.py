"""The two text files of CelebAMask-HQ: attributes, and the mapping to CelebA that gives the official split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ATTRIBUTE_FILE, MAPPING_FILE = "CelebAMask-HQ-attribute-anno.txt", "CelebA-HQ-to-CelebA-mapping.txt"

_FIRST_VALIDATION, _FIRST_TEST = 162_771, 182_638  # CelebA's own partition, by its image number counted from 0


@dataclass(frozen=True)
class AttributeTable:
    """The attribute file: names, and a row of values for each photo it lists."""

    names: tuple[str, ...]
    rows: dict[int, int]
    values: NDArray[np.bool_]


def read_attributes(file: Path) -> AttributeTable:
    """Read the attribute file: a count, the names, then ``N.jpg`` with a 1 or -1 for each name.

    Raises:
        FacekitError: with file and line, when it is not of that form.
    """
    with file.open(encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise FacekitError("the file must begin with a count and a line of attribute names", where=f"{file}:1")
    names = tuple(lines[1].split())
    rows: dict[int, int] = {}
    values: list[list[bool]] = []
    for position, line in enumerate(lines[2:], start=3):
        fields = line.split()
        if not fields:
            continue
        stem, dot, _ = fields[0].partition(".")
        if not dot or not stem.isdecimal() or len(fields) != len(names) + 1 or not {*fields[1:]} <= {"1", "-1"}:
            message = f"expected N.jpg and {len(names)} values of 1 or -1"
            raise FacekitError(message, where=f"{file}:{position}")
        rows[int(stem)] = len(values)
        values.append([field == "1" for field in fields[1:]])
    return AttributeTable(names, rows, np.array(values, dtype=bool).reshape(len(values), len(names)))


def read_official_split(file: Path) -> dict[int, str]:
    """Return the official split of each photo number, by the number its original has in CelebA.

    Raises:
        FacekitError: with file and line, when a line is not ``idx orig_idx orig_file``.
    """
    splits: dict[int, str] = {}
    with file.open(encoding="utf-8") as stream:
        for position, line in enumerate(stream, start=1):
            fields = line.split()
            if not fields or fields[0] == "idx":
                continue
            if len(fields) < 2 or not (fields[0].isdecimal() and fields[1].isdecimal()):
                raise FacekitError("expected the columns idx, orig_idx, orig_file", where=f"{file}:{position}")
            original = int(fields[1])
            splits[int(fields[0])] = (
                "train" if original < _FIRST_VALIDATION else "validation" if original < _FIRST_TEST else "test"
            )
    return splits
