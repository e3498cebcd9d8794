"""What a cache of packed faces will hold, known before any image is read."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.data import store
from facekit.data.extras import ArrayKind
from facekit.interfaces import SPLITS, FaceDataset, FacekitError, MirrorsExtra, Repairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Kinds = tuple[ArrayKind, ...]

TRANSFORM_VERSION = 2
"""Version of how images become squares of a fixed size; part of every cache's name."""


@dataclass(frozen=True)
class PackPlan:
    """What a cache will hold, known before any image is read."""

    folder_name: str
    key: str
    """The hash in the folder's name."""
    size: int
    indices: NDArray[np.int64]
    """The dataset's index of each row, rising."""
    splits: dict[str, NDArray[np.int64]]
    """The rows of each split."""
    attributes: tuple[str, ...]
    classes: int
    mirrors: bool
    """Whether further arrays, where there are any, are packed for mirrored photos too."""
    repairs: tuple[str, ...]

    def row_bytes(self, kinds: Kinds) -> dict[str, int]:
        """Return the bytes of a row in each file, given what the further arrays are like."""
        pixels = self.size * self.size
        found = {
            store.IMAGES: 3 * pixels,
            store.MASKS: pixels if self.classes else 0,
            store.ATTRIBUTES: len(self.attributes),
            store.REPAIRS: len(self.repairs),
        }
        for number, kind in enumerate(kinds):
            for mirrored in (False, True) if self.mirrors else (False,):
                found[store.extra_file(number, mirrored=mirrored)] = kind.row_bytes
        return {name: length for name, length in found.items() if length}

    def extra_document(self, kinds: Kinds) -> dict[str, Any]:
        """Return what the further arrays are like as plain JSON data; nothing where there are none."""
        return {"extra": [{**kind.document(), "mirrored": self.mirrors} for kind in kinds]} if kinds else {}

    def identity(self, kinds: Kinds) -> dict[str, Any]:
        """Return what an unfinished cache is known by."""
        return {"key": self.key, "count": len(self.indices), **self.extra_document(kinds)}


def plan_packing(dataset: FaceDataset, size: int, name: str | None) -> PackPlan:
    """Return what a dataset's cache of a size will hold; its folder's name begins with ``name``, or the class's.

    Raises:
        FacekitError: a split has an unknown name, splits overlap, or no sample belongs to a split.
    """
    members: dict[str, NDArray[np.int64]] = {}
    for split, given in dataset.splits().items():
        if split not in SPLITS:
            raise FacekitError(f"the dataset has a split {split!r}; splits are called {', '.join(SPLITS)}")
        members[split] = np.unique(np.asarray(given, dtype=np.int64))
    indices, occurrences = np.unique(np.concatenate([*members.values(), np.zeros(0, np.int64)]), return_counts=True)
    if not len(indices):
        raise FacekitError("the dataset has no pictures in any split", remedy="see `facekit data check`")
    if occurrences.max() > 1:
        twice = indices[occurrences > 1][0]
        shared = ", ".join(split for split, rows in members.items() if twice in rows)
        raise FacekitError(
            f"sample {dataset.keys[int(twice)]!r} is in several splits: {shared}", remedy="splits never overlap"
        )
    identity = {
        "dataset": dataset.fingerprint(),
        "size": size,
        "transform": TRANSFORM_VERSION,
        "format": store.FORMAT,
        "label_map": store.label_map_document(dataset.label_map),
        "attributes": list(dataset.attribute_names),
        "splits": {split: hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest() for split, rows in members.items()},
    }
    if mirrors := isinstance(dataset, MirrorsExtra):  # only then: the names of other caches stay the same
        identity["mirrors_extra"] = True
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return PackPlan(
        folder_name=f"{name or re.sub(r'[^a-z0-9]+', '', type(dataset).__name__.lower())}-{size}-{key}",
        key=key,
        size=size,
        indices=indices,
        splits={split: np.searchsorted(indices, rows) for split, rows in members.items()},
        attributes=tuple(dataset.attribute_names),
        classes=len(dataset.label_map),
        mirrors=mirrors,
        repairs=dataset.repair_names if isinstance(dataset, Repairs) else (),
    )
