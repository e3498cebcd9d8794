"""``prepare``: any dataset in, one packed cache of a fixed size out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from facekit.data import store
from facekit.data.checks import mask_problems
from facekit.data.extras import ArrayKind, extra_problems, kind_problems, kinds_of, mirrored_extra
from facekit.data.geometry import resize_mask, resize_photo
from facekit.data.packing_plan import PackPlan, plan_packing
from facekit.data.parallel import Progress, ProgressCallback, ignore_progress, over_samples
from facekit.data.rows import describe_rows, disk_errors
from facekit.data.store import DamagedCache, PackedFaces
from facekit.interfaces import FaceDataset, FacekitError, RunFailure, cache_folder
from facekit.interfaces.errors import spoken_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Kinds = tuple[ArrayKind, ...]

_PLAN, _DONE = "plan.json", "done.bin"
_LEFTOVERS = (_PLAN, _DONE, store.REPAIRS)
_FLUSH_SECONDS = 2.0
_POLL_SECONDS = 0.2
_REMEDY = "choose another folder with FACEKIT_CACHE or data.cache"


def prepare(
    dataset: FaceDataset,
    *,
    size: int,
    cache: Path | str | None = None,
    name: str | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> PackedFaces:
    """Return a dataset's images packed at a fixed size; build the cache where there is none yet.

    Every sample that belongs to a split is packed: its photo; mask, attributes and further arrays where the dataset has
    them. Further arrays are packed a second time for the mirrored photo where the dataset can mirror them.
    Images that are not square are cropped to the square in their middle; photos are resized antialiased, masks by
    nearest pixel (:mod:`facekit.data.geometry`).

    The cache is a folder ``NAME-SIZE-KEY`` whose key is a hash of the dataset's own fingerprint, its splits, label map
    and attributes, the size, and the version of the transform: changed data or options make another cache. A build that
    is interrupted, even killed, goes on where it was when called again. One process builds, others that want the same
    cache wait for it. A cache that turns out damaged is built again.

    Args:
        dataset: the images.
        size: side of the packed images.
        cache: the folder of all caches; :func:`~facekit.interfaces.cache_folder` when None.
        name: the beginning of the cache's folder name, for people; the dataset's class name when None.
        workers: processes that read images; one a core, 8 at most, when None. The result is the same.
        progress: called with how far the work is.

    Returns:
        The packed faces, opened.

    Raises:
        FacekitError: an image cannot be read, a mask holds an id outside the label map or has another aspect than its
            photo, some samples have masks and others have none, further arrays differ in name, shape or dtype or are
            not finite (the sample is named), or no sample belongs to a split.
        RunFailure: the disk is full or the folder cannot be written. What was packed so far is kept.
    """
    report = progress or ignore_progress
    plan = plan_packing(dataset, size, name)
    root = cache_folder() if cache is None else Path(cache).expanduser()
    folder = root / plan.folder_name
    if found := _open_sound(folder, report):
        return found
    with disk_errors(root, "cache", elsewhere=_REMEDY):
        root.mkdir(parents=True, exist_ok=True)
    lock = root / f".{plan.folder_name}.lock"
    with exclusive_lock(lock, on_wait=lambda: report(Progress("waiting", 0, len(plan.indices)))):
        if found := _open_sound(folder, report):  # by now another process may have built it
            return found
        with disk_errors(root, "cache", elsewhere=_REMEDY):
            if folder.exists():
                shutil.rmtree(folder)
            _build(dataset, plan, folder.with_name(folder.name + ".partial"), folder, workers, report)
    return PackedFaces.open(folder)


def find_prepared(
    dataset: FaceDataset, *, size: int, cache: Path | str | None = None, name: str | None = None
) -> PackedFaces | None:
    """Return what :func:`prepare` with the same arguments has packed before; None where it has not. Packs nothing."""
    root = cache_folder() if cache is None else Path(cache).expanduser()
    return _open_sound(root / plan_packing(dataset, size, name).folder_name, ignore_progress)


def _open_sound(folder: Path, report: ProgressCallback) -> PackedFaces | None:
    if not folder.is_dir():
        return None
    try:
        return PackedFaces.open(folder, progress=lambda done, total: report(Progress("checksums", done, total)))
    except DamagedCache:
        return None  # the caller builds it again


@contextmanager
def exclusive_lock(file: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a file's lock for the length of a ``with`` block; wait while another process holds it.

    The operating system lets the lock go when the process dies. The file is made when it is missing and is left behind:
    removing it would let two processes each lock a file of the same name.

    Args:
        file: the lock file; its folder exists.
        on_wait: called again and again (every 0.2 s) while another process holds the lock.

    Raises:
        RunFailure: the file cannot be opened, or its file system knows no locks.
    """
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunFailure(f"cannot open the lock file: {error.strerror}", where=str(file)) from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if on_wait is not None:
                    on_wait()
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                raise RunFailure(
                    f"cannot lock the file: {error.strerror}",
                    where=str(file),
                    remedy="its file system may know no locks; choose a folder on a local disk (FACEKIT_CACHE or "
                    "data.cache)",
                ) from error
        yield
    finally:
        os.close(descriptor)  # lets the lock go


def _pack(
    dataset: FaceDataset, index: int, wanted: tuple[PackPlan, Kinds | None]
) -> tuple[dict[str, NDArray[Any]], Kinds]:
    """Read one sample; return its row in each file of the cache, and what its further arrays are like.

    The first sample decides what the further arrays of all are like; for it ``wanted`` has None in their place.
    """
    plan, expected = wanted
    size, attribute_count = plan.size, len(plan.attributes)
    key = dataset.keys[index]
    remedy = "`facekit data check` lists everything that is wrong"
    try:
        sample = dataset.read(index, size=size)
    except OSError as error:  # datasets should raise FacekitError; this must not pass for a failed write
        raise FacekitError(f"the sample cannot be read: {error}", where=key, remedy=remedy) from error
    if problems := mask_problems(sample, dataset.label_map):
        raise FacekitError(problems[0], where=key, remedy=remedy)
    rows: dict[str, NDArray[Any]] = {}
    if attribute_count:
        if sample.attributes is None or sample.attributes.shape != (attribute_count,):
            raise FacekitError(f"the sample does not have the {attribute_count} attributes of its dataset", where=key)
        rows[store.ATTRIBUTES] = sample.attributes.astype(np.int8)
    problems = extra_problems(sample)
    kinds = () if problems else kinds_of(sample.extra)
    if not problems and expected is not None:
        problems = kind_problems(expected, kinds, of=f"sample {dataset.keys[int(plan.indices[0])]}")
    if problems:
        raise FacekitError(problems[0], where=key, remedy=remedy)
    try:
        mirrored = mirrored_extra(dataset, sample.extra)
    except FacekitError as error:
        raise FacekitError(error.message, where=error.where or key, remedy=error.remedy) from error
    rows[store.IMAGES] = resize_photo(sample.image, size)
    if sample.mask is not None:
        rows[store.MASKS] = resize_mask(sample.mask, size)
    rows[store.REPAIRS] = np.array([name in sample.repairs for name in plan.repairs], dtype=np.uint8)
    for number, kind in enumerate(kinds):
        for is_mirrored, arrays in ((False, sample.extra), (True, mirrored)):
            if arrays:
                rows[store.extra_file(number, mirrored=is_mirrored)] = arrays[kind.name].astype(kind.stored)
    return rows, kinds


class _Writer:
    """Writes rows into the files of an unfinished cache, and notes which rows are safe on disk.

    Rows are written through file handles and not through maps: on a full disk a write raises an error, where a touched
    page of a map would kill the process.
    """

    def __init__(self, folder: Path, plan: PackPlan, kinds: Kinds) -> None:
        self._row_bytes = plan.row_bytes(kinds)
        self._files: dict[str, BinaryIO] = {}
        for name, length in {**self._row_bytes, _DONE: 1}.items():
            file = folder / name
            file.touch()
            self._files[name] = file.open("r+b", buffering=0)
            self._files[name].truncate(len(plan.indices) * length)
        self.done = np.fromfile(folder / _DONE, dtype=np.uint8).astype(bool)
        self._unsafe: list[int] = []
        self._last_flush = time.monotonic()

    def write(self, row: int, parts: Mapping[str, NDArray[Any]]) -> None:
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
    dataset: FaceDataset, plan: PackPlan, partial: Path, folder: Path, workers: int | None, report: ProgressCallback
) -> None:
    """Fill a folder beside the cache's own, or go on with one that is there, and rename it when it is whole."""
    kinds: Kinds | None
    try:
        found = json.loads((partial / _PLAN).read_text(encoding="utf-8"))
        known = tuple(map(ArrayKind.from_document, found.get("extra", ())))
        kinds = known if found == plan.identity(known) else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        kinds = None  # nothing there, or not what this call can go on with
    if kinds is None:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
    _require_space(partial, plan, kinds or ())
    count, opening = len(plan.indices), None
    if kinds is None:
        # What the further arrays are like is known from the first sample, which is read once all the same.
        opening, kinds = _pack(dataset, int(plan.indices[0]), (plan, None))
        _require_space(partial, plan, kinds)
        store.write_json(partial / _PLAN, plan.identity(kinds))
    with _Writer(partial, plan, kinds) as writer:
        if opening is not None:
            writer.write(0, opening)
        written = writer.done.copy()
        written[0] |= opening is not None
        missing = plan.indices[~written]
        done = count - len(missing)
        resumed = done - (opening is not None)
        report(Progress("pictures", done, count, resumed))
        row_of = {int(index): row for row, index in enumerate(plan.indices)}
        for index, packed in over_samples(_pack, dataset, missing.tolist(), (plan, kinds), workers=workers):
            writer.write(row_of[index], packed[0])
            done += 1
            report(Progress("pictures", done, count, resumed))
    _finish(dataset, plan, kinds, partial, report)
    partial.replace(folder)
    for leftover in _LEFTOVERS:
        (folder / leftover).unlink(missing_ok=True)


def _require_space(partial: Path, plan: PackPlan, kinds: Kinds) -> None:
    there = sum(file.stat().st_blocks * 512 for file in partial.iterdir())
    needed = len(plan.indices) * sum(plan.row_bytes(kinds).values()) - there
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise RunFailure(
            f"the packed pictures need {spoken_bytes(needed)} more and {spoken_bytes(free)} are free: "
            f"{spoken_bytes(needed - free)} too little",
            where=str(partial.parent),
            remedy="free some space, or choose another disk with FACEKIT_CACHE or data.cache",
        )


def _finish(dataset: FaceDataset, plan: PackPlan, kinds: Kinds, partial: Path, report: ProgressCallback) -> None:
    """Write the small files and the index, with the checksums of all."""
    texts = [dataset.keys[int(index)].encode() for index in plan.indices]
    (partial / store.KEYS).write_bytes(b"".join(texts))
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype("<i8")
    (partial / store.KEY_OFFSETS).write_bytes(offsets.tobytes())
    (partial / store.SPLIT_ROWS).write_bytes(np.concatenate(list(plan.splits.values())).astype("<i8").tobytes())
    small = (store.KEYS, store.KEY_OFFSETS, store.SPLIT_ROWS)
    large = [name for name in plan.row_bytes(kinds) if name not in (store.ATTRIBUTES, store.REPAIRS)]
    names = [*large, *small, *([store.ATTRIBUTES] if plan.attributes else [])]
    total, done = sum((partial / name).stat().st_size for name in names), 0

    def count(length: int) -> None:
        nonlocal done
        done += length
        report(Progress("checksums", done, total))

    files: dict[str, Any] = {}
    checks = {}
    for name in names:
        file = partial / name
        if name in store.SMALL:
            content = file.read_bytes()
            files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            count(len(content))
        else:
            digest, checks[name] = describe_rows(file, len(plan.indices), count)
            files[name] = {"bytes": file.stat().st_size, "sha256": digest}
    index: dict[str, Any] = {
        "format": store.FORMAT,
        "count": len(plan.indices),
        "size": plan.size,
        "label_map": store.label_map_document(dataset.label_map),
        "attribute_names": list(plan.attributes),
        "splits": {split: len(rows) for split, rows in plan.splits.items()},
        "files": files,
        **plan.extra_document(kinds),
    }
    index["fingerprint"] = store.fingerprint_of(index)
    index["key"] = plan.key
    if plan.repairs:
        repaired = np.fromfile(partial / store.REPAIRS, dtype=np.uint8).reshape(-1, len(plan.repairs)).sum(0)
        index["repairs"] = dict(zip(plan.repairs, repaired.tolist(), strict=True))
    index[store.INDEX_HASH] = store.index_hash(index)
    store.write_json(partial / store.INDEX, index)
    store.note_verified(partial, checks)
