"""``prepare``: any dataset in, one packed cache of a fixed size out."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from facekit.data import store
from facekit.data.checks import mask_problems
from facekit.data.geometry import resize_mask, resize_photo
from facekit.data.locking import exclusive_lock
from facekit.data.parallel import over_samples
from facekit.data.progress import Progress, ProgressCallback, ignore_progress
from facekit.data.store import DamagedCache, PackedFaces
from facekit.interfaces import SPLITS, FaceDataset, FacekitError, RunFailure, cache_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRANSFORM_VERSION = 2
"""Version of how pictures become squares of a fixed size; part of every cache's name."""

_PLAN, _DONE = "plan.json", "done.bin"
_FLUSH_SECONDS = 2.0


def prepare(
    dataset: FaceDataset,
    *,
    size: int,
    cache: Path | str | None = None,
    name: str | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> PackedFaces:
    """Return a dataset's pictures packed at a fixed size; build the cache where there is none yet.

    Every sample that belongs to a split is packed: its photo, and mask and attributes where the dataset has them.
    Pictures that are not square are cropped to the square in their middle; photos are resized antialiased, masks by
    nearest pixel (:mod:`facekit.data.geometry`).

    The cache is a folder ``NAME-SIZE-KEY`` whose key is a hash of the dataset's own fingerprint, its splits, label map
    and attributes, the size, and the version of the transform: changed data or options make another cache. A build that
    is interrupted, even killed, goes on where it was when called again. One process builds, others that want the same
    cache wait for it. A cache that turns out damaged is built again.

    Args:
        dataset: the pictures.
        size: side of the packed pictures.
        cache: the folder of all caches; :func:`~facekit.interfaces.cache_folder` when None.
        name: the beginning of the cache's folder name, for people; the dataset's class name when None.
        workers: processes that read pictures; one a core, 8 at most, when None. The result is the same.
        progress: told how far it is.

    Returns:
        The packed faces, opened.

    Raises:
        FacekitError: a picture cannot be read, a mask holds an id outside the label map or has another aspect than its
            photo, some samples have masks and others have none (the sample is named), or no sample belongs to a split.
        RunFailure: the disk is full or the folder cannot be written. What was packed so far is kept.
    """
    report = progress or ignore_progress
    plan = _plan(dataset, size, name or _spell(type(dataset).__name__))
    root = cache_folder() if cache is None else Path(cache).expanduser()
    folder = root / plan.folder_name
    found = _open_sound(folder, report)
    if found is not None:
        return found
    with _disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    lock = root / f".{plan.folder_name}.lock"
    with exclusive_lock(lock, on_wait=lambda: report(Progress("waiting", 0, len(plan.indices)))):
        found = _open_sound(folder, report)  # by now another process may have built it
        if found is not None:
            return found
        with _disk_errors(root):
            if folder.exists():
                shutil.rmtree(folder)
            _build(dataset, plan, folder.with_name(folder.name + ".partial"), folder, workers, report)
    return PackedFaces.open(folder)


def find_prepared(
    dataset: FaceDataset, *, size: int, cache: Path | str | None = None, name: str | None = None
) -> PackedFaces | None:
    """Return what :func:`prepare` with the same arguments has packed before; None where it has not. Packs nothing."""
    plan = _plan(dataset, size, name or _spell(type(dataset).__name__))
    root = cache_folder() if cache is None else Path(cache).expanduser()
    return _open_sound(root / plan.folder_name, ignore_progress)


@dataclass(frozen=True)
class _Plan:
    folder_name: str
    key: str
    size: int
    indices: NDArray[np.int64]  # the dataset's index of each row, rising
    splits: dict[str, NDArray[np.int64]]  # rows
    attributes: tuple[str, ...]
    classes: int


def _plan(dataset: FaceDataset, size: int, name: str) -> _Plan:
    members: dict[str, NDArray[np.int64]] = {}
    for split, given in dataset.splits().items():
        if split not in SPLITS:
            raise FacekitError(f"the dataset has a split {split!r}; splits are called {', '.join(SPLITS)}")
        members[split] = np.unique(np.asarray(given, dtype=np.int64))
    indices, occurrences = np.unique(np.concatenate([*members.values(), np.zeros(0, np.int64)]), return_counts=True)
    if not len(indices):
        raise FacekitError("the dataset has no pictures in any split", remedy="see `facekit data check`")
    if occurrences.max() > 1:
        twice = dataset.keys[int(indices[occurrences > 1][0])]
        shared = [split for split, rows in members.items() if indices[occurrences > 1][0] in rows]
        raise FacekitError(f"sample {twice!r} is in several splits: {', '.join(shared)}", remedy="splits never overlap")
    identity = {
        "dataset": dataset.fingerprint(),
        "size": size,
        "transform": TRANSFORM_VERSION,
        "format": store.FORMAT,
        "label_map": store.label_map_document(dataset.label_map),
        "attributes": list(dataset.attribute_names),
        "splits": {split: hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest() for split, rows in members.items()},
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return _Plan(
        folder_name=f"{name}-{size}-{key}",
        key=key,
        size=size,
        indices=indices,
        splits={split: np.searchsorted(indices, rows) for split, rows in members.items()},
        attributes=tuple(dataset.attribute_names),
        classes=len(dataset.label_map),
    )


def _spell(class_name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", class_name.lower())


def _open_sound(folder: Path, report: ProgressCallback) -> PackedFaces | None:
    if not folder.is_dir():
        return None
    try:
        return PackedFaces.open(folder, progress=lambda done, total: report(Progress("checksums", done, total)))
    except DamagedCache:
        return None  # the caller builds it again


@dataclass(frozen=True, slots=True)
class _Packed:
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    attributes: NDArray[np.int8] | None


def _pack(dataset: FaceDataset, index: int, plan: tuple[int, int]) -> _Packed:
    """Read one sample and bring it to size. ``plan``: side, number of attributes."""
    size, attribute_count = plan
    key = dataset.keys[index]
    remedy = "`facekit data check` lists everything that is wrong"
    try:
        sample = dataset.read(index, size=size)
    except OSError as error:  # a dataset should say it better, but this must not look like a failed write
        raise FacekitError(f"the sample cannot be read: {error}", where=key, remedy=remedy) from error
    if problems := mask_problems(sample, dataset.label_map):
        raise FacekitError(problems[0], where=key, remedy=remedy)
    attributes = None
    if attribute_count:
        if sample.attributes is None or sample.attributes.shape != (attribute_count,):
            raise FacekitError(f"the sample does not have the {attribute_count} attributes of its dataset", where=key)
        attributes = sample.attributes.astype(np.int8)
    mask = None if sample.mask is None else resize_mask(sample.mask, size)
    return _Packed(resize_photo(sample.image, size), mask, attributes)


class _Writer:
    """Writes rows into the files of an unfinished cache, and notes which rows are safe on disk.

    Rows are written through file handles and not through maps: on a full disk a write raises an error, where a touched
    page of a map would kill the process.
    """

    def __init__(self, folder: Path, plan: _Plan) -> None:
        count, pixels = len(plan.indices), plan.size * plan.size
        self._row_bytes = {store.IMAGES: 3 * pixels}
        if plan.classes:
            self._row_bytes[store.MASKS] = pixels
        if plan.attributes:
            self._row_bytes[store.ATTRIBUTES] = len(plan.attributes)
        self._files: dict[str, BinaryIO] = {}
        for name, length in {**self._row_bytes, _DONE: 1}.items():
            file = folder / name
            file.touch()
            self._files[name] = file.open("r+b", buffering=0)
            self._files[name].truncate(count * length)
        self.done = np.fromfile(folder / _DONE, dtype=np.uint8).astype(bool)
        self._unsafe: list[int] = []
        self._last_flush = time.monotonic()

    def write(self, row: int, packed: _Packed) -> None:
        parts = {store.IMAGES: packed.image, store.MASKS: packed.mask, store.ATTRIBUTES: packed.attributes}
        for name, length in self._row_bytes.items():
            _write_at(self._files[name], row * length, np.ascontiguousarray(parts[name]).tobytes())
        self._unsafe.append(row)
        if time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        # The order matters: a row is noted as done only when its pixels are on disk.
        for name in self._row_bytes:
            os.fsync(self._files[name].fileno())
        self.done[self._unsafe] = True
        self._unsafe.clear()
        _write_at(self._files[_DONE], 0, self.done.tobytes())
        os.fsync(self._files[_DONE].fileno())
        self._last_flush = time.monotonic()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, OSError):
                self.flush()
        finally:
            for file in self._files.values():
                file.close()


def _write_at(file: BinaryIO, position: int, content: bytes) -> None:
    file.seek(position)
    view = memoryview(content)
    while view:  # an unbuffered file may take less than it is given
        view = view[file.write(view) :]


def _build(
    dataset: FaceDataset, plan: _Plan, partial: Path, folder: Path, workers: int | None, report: ProgressCallback
) -> None:
    _resume_or_start(partial, plan)
    _require_space(partial, plan)
    count = len(plan.indices)
    with _Writer(partial, plan) as writer:
        missing = plan.indices[~writer.done]
        resumed = done = count - len(missing)
        report(Progress("pictures", done, count, resumed))
        row_of = {int(index): row for row, index in enumerate(plan.indices)}
        settings = (plan.size, len(plan.attributes))
        for index, packed in over_samples(_pack, dataset, missing.tolist(), settings, workers=workers):
            writer.write(row_of[index], packed)
            done += 1
            report(Progress("pictures", done, count, resumed))
    _finish(dataset, plan, partial, report)
    partial.replace(folder)
    for leftover in (_PLAN, _DONE):
        (folder / leftover).unlink()


def _resume_or_start(partial: Path, plan: _Plan) -> None:
    said = {"key": plan.key, "count": len(plan.indices)}
    try:
        same = json.loads((partial / _PLAN).read_text(encoding="utf-8")) == said
    except (OSError, ValueError):
        same = False  # nothing there, or not what this call can go on with
    if not same:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        store.write_json(partial / _PLAN, said)


def _require_space(partial: Path, plan: _Plan) -> None:
    channels = 4 if plan.classes else 3
    needed = len(plan.indices) * (channels * plan.size * plan.size + len(plan.attributes))
    there = sum(_allocated(file) for file in partial.iterdir())
    free = shutil.disk_usage(partial).free
    if needed - there > free:
        raise RunFailure(
            f"the packed pictures need {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free",
            where=str(partial.parent),
            remedy="free some space, or choose another disk with FACEKIT_CACHE or data.cache",
        )


def _allocated(file: Path) -> int:
    status = file.stat()
    blocks = getattr(status, "st_blocks", None)  # not on Windows
    return status.st_size if blocks is None else blocks * 512


def _finish(dataset: FaceDataset, plan: _Plan, partial: Path, report: ProgressCallback) -> None:
    texts = [dataset.keys[int(index)].encode() for index in plan.indices]
    (partial / store.KEYS).write_bytes(b"".join(texts))
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype("<i8")
    (partial / store.KEY_OFFSETS).write_bytes(offsets.tobytes())
    (partial / store.SPLIT_ROWS).write_bytes(np.concatenate(list(plan.splits.values())).astype("<i8").tobytes())
    masks, attributes = [store.MASKS] * bool(plan.classes), [store.ATTRIBUTES] * bool(plan.attributes)
    names = [store.IMAGES, *masks, store.KEYS, store.KEY_OFFSETS, store.SPLIT_ROWS, *attributes]
    total = sum((partial / name).stat().st_size for name in names)
    files: dict[str, Any] = {}
    done = 0

    def count(length: int) -> None:
        nonlocal done
        done += length
        report(Progress("checksums", done, total))

    for name in names:
        file = partial / name
        files[name] = {"bytes": file.stat().st_size, "sha256": store.hash_file(file, count)}
    index: dict[str, Any] = {
        "format": store.FORMAT,
        "count": len(plan.indices),
        "size": plan.size,
        "label_map": store.label_map_document(dataset.label_map),
        "attribute_names": list(plan.attributes),
        "splits": {split: len(rows) for split, rows in plan.splits.items()},
        "files": files,
    }
    index["fingerprint"] = store.fingerprint_of(index)
    index["key"] = plan.key
    store.write_json(partial / store.INDEX, index)
    store.note_verified(partial, files)


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise RunFailure(
            "the disk is full" if full else f"cannot write the cache: {error.strerror or error}",
            where=str(error.filename or root),
            remedy="free some space and start again: what is packed already is kept"
            if full
            else "choose another folder with FACEKIT_CACHE or data.cache",
        ) from error


def cached_folders(cache: Path | str | None = None) -> Sequence[Path]:
    """Return the finished caches in a folder of caches, by name."""
    root = cache_folder() if cache is None else Path(cache).expanduser()
    return sorted(file.parent for file in root.glob(f"*/{store.INDEX}") if file.parent.suffix != ".partial")
