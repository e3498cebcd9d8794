"""Packed faces: a folder of arrays that opens at once, whatever its size.

The files of the folder, all little-endian and without headers:

- ``images.bin`` uint8 (n, S, S, 3)
- ``masks.bin`` uint8 (n, S, S), where the label map has classes
- ``attributes.bin`` int8 (n, A) of 0 and 1, where there are attributes
- ``extra_0.bin``, ``extra_1.bin``, ...: the further arrays of the samples, (n, ...) each, and ``extra_0_mirrored.bin``,
  ...: the same for mirrored photos, where the dataset can mirror them. Their names, shapes and dtypes are in the index.
- ``keys.bin`` (all keys in UTF-8, end to end) and ``key_offsets.bin`` int64 (n + 1)
- ``splits.bin`` int64: the rows of each split, one split after the other
- ``index.json``: what the files hold, and the SHA-256 of each
- ``row_checks.bin``: a checksum of every row of the large files
- ``verified.json``: the time of each large file when its SHA-256 was last compared

The small files (the index, keys, splits, attributes) are compared with their SHA-256 whenever the folder is opened. The
large ones (images, masks, further arrays) are compared as a whole when their date is not the one they had when last
compared, and row by row when a row is first read: bit rot keeps the date (:mod:`facekit.data.rows`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from facekit.data.extras import ArrayKind
from facekit.data.rows import (
    ROW_CHECKS,
    VERIFIED,
    DamagedCache,
    PackedRows,
    describe_rows,
    raise_unless_damage,
    read_row_checks,
    reading,
    write_whole,
)
from facekit.interfaces import FacekitError, LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Version of the folder's layout."""

INDEX = "index.json"
IMAGES, MASKS, ATTRIBUTES = "images.bin", "masks.bin", "attributes.bin"
KEYS, KEY_OFFSETS, SPLIT_ROWS = "keys.bin", "key_offsets.bin", "splits.bin"
REPAIRS = "repairs.bin"
"""uint8 (n, R) of 0 and 1: which repairs each sample took, in an unfinished cache only; the index keeps the counts."""

SMALL = (KEYS, KEY_OFFSETS, SPLIT_ROWS, ATTRIBUTES)
"""Files that are read as a whole, and so compared whenever a cache is opened."""

_INDEX_ENTRIES = frozenset(
    ("format", "count", "size", "label_map", "attribute_names", "splits", "files", "extra", "fingerprint", "key")
) | {"repairs", "sha256"}
INDEX_HASH = "sha256"
"""Entry of the index: the SHA-256 of all others, since its fingerprint leaves out those that are no data."""


def extra_file(number: int, *, mirrored: bool = False) -> str:
    """Return the file of a further array: by its number, because a port's name need not be a file name."""
    return f"extra_{number}{'_mirrored' if mirrored else ''}.bin"


@dataclass(frozen=True, eq=False)
class PackedFaces:
    """Faces of one fixed size, ready to train on. All arrays are read-only.

    Args:
        folder: where they lie.
        size: image side S.
        images: photos (n, S, S, 3) uint8 RGB.
        masks: class ids (n, S, S) uint8; None where the dataset has photos without masks.
        attributes: (n, A) int8 of 0 and 1; None where the dataset has none.
        keys: the sample keys, n of them.
        splits: rows of each split, int64 in rising order.
        label_map: what the ids mean; without classes exactly where ``masks`` is None.
        attribute_names: the A attributes.
        fingerprint: SHA-256 of all of the above (the pixels included, the folder and the dates not): equal
            fingerprints mean equal training data.
        extra: further arrays (n, ...) by the names of the dataset's ports.
        mirrored_extra: the same arrays for mirrored photos; empty where the dataset does not mirror them. They lie here
            because training reads this folder and not the dataset: its files may be elsewhere by then, its code does
            not run in the loader's threads, and the fingerprint covers what a mirrored sample is.
        repairs: how many samples the dataset repaired on reading, by the name of the repair.
    """

    folder: Path
    size: int
    images: PackedRows
    masks: PackedRows | None
    attributes: NDArray[np.int8] | None
    keys: tuple[str, ...]
    splits: Mapping[str, NDArray[np.int64]]
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    fingerprint: str
    extra: Mapping[str, PackedRows] = field(default_factory=dict)
    mirrored_extra: Mapping[str, PackedRows] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def require_masks(self) -> PackedRows:
        """Return the masks (n, S, S). Raises FacekitError when these are photos without masks."""
        if self.masks is None:
            raise FacekitError(
                "this needs masks, and these are photos without masks",
                where=str(self.folder),
                remedy="take a dataset with masks",
            )
        return self.masks

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split. Raises FacekitError naming the splits there are."""
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise FacekitError(f"the data has no {split!r} split; it has {known}", where=str(self.folder))
        return self.splits[split]

    @staticmethod
    def open(folder: Path, *, verify: bool = False, progress: Callable[[int, int], None] | None = None) -> PackedFaces:
        """Open a folder that :func:`facekit.data.cache.prepare` has written.

        The sizes of all files and the contents of the small ones are always checked. The contents of the large ones are
        compared with their SHA-256 when a file's date is not the one it had when last compared, or when asked to, and
        each of their rows is compared with its own checksum when it is first read.

        Args:
            folder: the folder.
            verify: compare the contents in any case (reads every byte).
            progress: called with ``(bytes compared, bytes in all)`` while contents of large files are compared.

        Raises:
            DamagedCache: the folder is incomplete, or a file is not what was written.
        """
        index = read_index(folder)
        files, count, size = index["files"], index["count"], index["size"]
        for name, said in files.items():
            file = folder / name
            if not file.is_file():
                raise DamagedCache("this file of the packed faces is missing", where=str(file))
            if (length := file.stat().st_size) != said["bytes"]:
                raise DamagedCache(f"the file has {length} bytes in place of {said['bytes']}", where=str(file))
        small = {name: _read_small(folder / name, files[name]) for name in files if name in SMALL}
        large = {name: said for name, said in files.items() if name not in SMALL}
        checks = _verify_large(folder, large, count, always=verify, progress=progress or (lambda done, total: None))
        attribute_names = tuple(index["attribute_names"])
        label_map = label_map_from(index["label_map"])
        offsets = np.frombuffer(small[KEY_OFFSETS], "<i8").tolist()
        rows = np.frombuffer(small[SPLIT_ROWS], dtype="<i8")
        splits: dict[str, NDArray[np.int64]] = {}
        start = 0
        for name, length in index["splits"].items():
            splits[name] = rows[start : start + length]
            start += length

        def pictures(name: str, *shape: int) -> PackedRows:
            return PackedRows(folder / name, "u1", (count, *shape), checks[name])

        return PackedFaces(
            folder=folder,
            size=size,
            images=pictures(IMAGES, size, size, 3),
            masks=pictures(MASKS, size, size) if label_map.classes else None,
            attributes=np.frombuffer(small[ATTRIBUTES], np.int8).reshape(count, -1) if attribute_names else None,
            keys=tuple(small[KEYS][start:end].decode() for start, end in pairwise(offsets)),
            splits=splits,
            label_map=label_map,
            attribute_names=attribute_names,
            fingerprint=index["fingerprint"],
            extra=_extra_rows(folder, index, checks, mirrored=False),
            mirrored_extra=_extra_rows(folder, index, checks, mirrored=True),
            repairs=index.get("repairs", {}),
        )


def _extra_rows(
    folder: Path, index: Mapping[str, Any], checks: Mapping[str, NDArray[np.uint32]], *, mirrored: bool
) -> dict[str, PackedRows]:
    found = {}
    for number, entry in enumerate(index.get("extra", ())):
        kind = ArrayKind.from_document(entry)
        if entry["mirrored"] or not mirrored:
            name = extra_file(number, mirrored=mirrored)
            found[kind.name] = PackedRows(folder / name, kind.stored, (index["count"], *kind.shape), checks[name])
    return found


def label_map_document(label_map: LabelMap) -> dict[str, Any]:
    """Return a label map as plain JSON data."""
    document = asdict(label_map)
    if not label_map.of:  # part of what data is known by: other label maps keep their documents
        del document["of"], document["merges"]
    return document


def label_map_from(document: Mapping[str, Any]) -> LabelMap:
    """Return the label map that :func:`label_map_document` wrote down."""
    return TypeAdapter(LabelMap).validate_python(document)


def fingerprint_of(index: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the entries of an index that describe the data, the SHA-256 of each file among them."""
    said = {
        name: index[name] for name in ("format", "count", "size", "label_map", "attribute_names", "splits", "files")
    }
    if "extra" in index:  # only then: what data without further arrays is known by stays the same
        said["extra"] = index["extra"]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def index_hash(index: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an index without the entry that holds it. Spaces and the order of keys do not count."""
    entries = {name: value for name, value in index.items() if name != INDEX_HASH}
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """Return a folder's ``index.json``. Raises DamagedCache when it is missing, damaged or of another format."""
    file = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise DamagedCache(f"the packed faces are of format {index['format']}, not {FORMAT}", where=str(file))
        sound = fingerprint_of(index) == index["fingerprint"]
        # Older caches have no hash of the whole; one whose name is damaged is an entry that nobody writes.
        sound &= index.keys() <= _INDEX_ENTRIES and index.get(INDEX_HASH, index_hash(index)) == index_hash(index)
    except FileNotFoundError as error:
        raise DamagedCache("these packed faces have no index", where=str(file)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, OSError):
            raise_unless_damage(error)
        raise DamagedCache(f"the index of the packed faces cannot be read ({error})", where=str(file)) from error
    if not sound:
        raise DamagedCache("the index of the packed faces does not fit its own checksums", where=str(file))
    return index


def write_json(file: Path, document: Any) -> None:
    """Write a JSON file that is never half written."""
    write_whole(file, json.dumps(document, indent=1).encode())


def note_verified(folder: Path, checks: Mapping[str, NDArray[np.uint32]]) -> None:
    """Note the present date of each large file and the checksums of its rows: it has just been compared, or written."""
    content = b"".join(each.astype("<u4").tobytes() for each in checks.values())
    write_whole(folder / ROW_CHECKS, content + hashlib.sha256(content).digest())
    write_json(folder / VERIFIED, {name: (folder / name).stat().st_mtime_ns for name in checks})


def _read_small(file: Path, said: Mapping[str, Any]) -> bytes:
    """Return the contents of a small file. The bytes that are compared are those that are used."""
    with reading(file):
        content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise _differs(file)
    return content


def _differs(file: Path) -> DamagedCache:
    return DamagedCache("the file is not what was written (its SHA-256 differs)", where=str(file))


def _verify_large(
    folder: Path, files: Mapping[str, Any], count: int, *, always: bool, progress: Callable[[int, int], None]
) -> dict[str, NDArray[np.uint32]]:
    """Return the checksums of the rows of each large file, which is compared as a whole where that is needed."""
    try:
        dates = json.loads((folder / VERIFIED).read_text(encoding="utf-8"))
        current = dates == {name: (folder / name).stat().st_mtime_ns for name in files}
    except (OSError, ValueError, RecursionError):
        current = False
    known = read_row_checks(folder, list(files), count) if current and not always else None
    if known is not None:
        return known
    total, done = sum(said["bytes"] for said in files.values()), 0

    def told(length: int) -> None:
        nonlocal done
        done += length
        progress(done, total)

    checks = {}
    for name, said in files.items():
        with reading(folder / name):
            digest, checks[name] = describe_rows(folder / name, count, told)
        if digest != said["sha256"]:
            raise _differs(folder / name)
    with suppress(OSError):  # a cache on a read-only disk serves as well; it is compared again the next time
        note_verified(folder, checks)
    return checks
