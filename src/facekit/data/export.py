"""``export_folder``: any dataset written out as plain folders of images.

``image_mask_folder`` reads them, or ``image_folder`` where there are no masks.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from facekit.data.geometry import resize_mask, resize_photo
from facekit.data.parallel import Progress, ProgressCallback, ignore_progress, over_samples
from facekit.data.rows import disk_errors
from facekit.data.store import write_json
from facekit.interfaces import FaceDataset, FacekitError, FaceSample, LabelMap

if TYPE_CHECKING:
    pass

PHOTOS, MASKS, COLOURS, SPLIT_LISTS = "photos", "masks", "colours", "splits"
ATTRIBUTE_FILE, CLASS_FILE, RECORD = "attributes.csv", "classes.csv", "export.json"

PhotoFormat = Literal["png", "jpeg"]

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        folder: where.
        samples: how many images there are.
        written: how many of them this call wrote; the rest was there.
        dataset_options: a recipe's ``data:`` that reads the folder: ``image_mask_folder``, or ``image_folder`` where
            there are no masks, with its options.
    """

    folder: Path
    samples: int
    written: int
    dataset_options: dict[str, object]


def export_folder(
    dataset: FaceDataset,
    folder: Path,
    *,
    size: int | None = None,
    photo_format: PhotoFormat = "png",
    colour: bool = False,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Export:
    """Write every sample of every split as plain files.

    ``photos/KEY.png``, ``masks/KEY.png`` (indexed: the pixel values are class ids, the palette shows them in the label
    map's colours), ``splits/SPLIT.txt``, ``attributes.csv`` where there are attributes, and ``classes.csv`` with the
    name and colour of each id. Datasets without masks get neither masks nor ``classes.csv``. Further arrays of
    samples are not written, since plain folders have no place for them. After an interruption the next call goes on:
    files are written beside and renamed, so each is whole or not there.

    Args:
        dataset, workers, progress: as of :func:`~facekit.data.cache.prepare`.
        folder: where to write; made when missing.
        size: side of the images, cropped to the middle square and resized as ``prepare`` does; as they are when None.
        photo_format: ``png`` loses nothing; ``jpeg`` is five to ten times smaller.
        colour: write ``colours/KEY.png`` too: masks in RGB, for programs that know no palettes.

    Raises:
        FacekitError: the folder holds something else (another dataset, other options, files of no export), a sample
            cannot be read, or masks are wanted in colours and there are none.
        RunFailure: the disk is full or the folder cannot be written.
    """
    report = progress or ignore_progress
    if colour and not dataset.label_map.classes:
        raise FacekitError("there are no masks to write in colours: the dataset has photos without masks")
    splits = {split: sorted(int(index) for index in indices) for split, indices in dataset.splits().items()}
    members = sorted({index for indices in splits.values() for index in indices})
    for key in (dataset.keys[index] for index in members):
        parts = key.split("/")
        if any(part in ("", ".", "..") or part.startswith(".") or "\\" in part or ":" in part for part in parts):
            raise FacekitError(f"the key {key!r} cannot be a file name")
    record: dict[str, object] = {
        "dataset": dataset.fingerprint(),
        "splits": hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest(),
        "size": size,
        "photo_format": photo_format,
        "colour": colour,
    }
    with disk_errors(folder, "export"):
        _claim(folder, record)
        _write_tables(dataset, folder, splits)
    job = _Job(folder, size, photo_format, colour, dataset.label_map)
    missing = [index for index in members if not all(file.is_file() for file in job.files(dataset.keys[index]))]
    done = resumed = len(members) - len(missing)
    report(Progress("pictures", done, len(members), resumed))
    rows: dict[int, list[int]] = {}
    for index, row in over_samples(_write_sample, dataset, missing, job, workers=workers):
        if row is not None:
            rows[index] = row
        done += 1
        report(Progress("pictures", done, len(members), resumed))
    options: dict[str, object] = {"use": "image_folder", "root": str(folder), "photos": PHOTOS}
    if dataset.label_map.classes:
        options = {"use": "image_mask_folder", "root": str(folder), "label_map": dataset.label_map.name}
    options["split_files"] = {split: f"{SPLIT_LISTS}/{split}.txt" for split in splits}
    if dataset.attribute_names:
        for index in members:
            if index not in rows:  # written by an earlier call
                rows[index] = _attribute_row(dataset.read(index, size=16)) or []
        lines = [[dataset.keys[index], *rows[index]] for index in members]
        with disk_errors(folder, "export"):
            _write_csv(folder / ATTRIBUTE_FILE, [["key", *dataset.attribute_names], *lines])
        options["attribute_file"] = ATTRIBUTE_FILE
    return Export(folder, len(members), len(missing), options)


@dataclass(frozen=True)
class _Job:
    folder: Path
    size: int | None
    photo_format: PhotoFormat
    colour: bool
    label_map: LabelMap

    def files(self, key: str) -> list[Path]:
        """Return the files of a sample; the photo last, so that where it is, the others are."""
        photo = self.folder / PHOTOS / f"{key}.{'jpg' if self.photo_format == 'jpeg' else 'png'}"
        colours = [self.folder / COLOURS / f"{key}.png"] if self.colour else []
        masks = [self.folder / MASKS / f"{key}.png"] if self.label_map.classes else []
        return [*masks, *colours, photo]


def _write_sample(dataset: FaceDataset, index: int, job: _Job) -> list[int] | None:
    """Write one sample's images; return its attributes."""
    sample = dataset.read(index, size=job.size)
    image, pictures = sample.image, list[Image.Image]()
    *lossless, photo_file = job.files(dataset.keys[index])
    if job.label_map.classes:
        mask = sample.require_mask()
        # Plain folders are easier to use when photo and mask fit pixel by pixel.
        side = min(image.shape[:2]) if job.size is None and image.shape[:2] != mask.shape else job.size
        if side is not None:
            image, mask = resize_photo(image, side), resize_mask(mask, side)
        indexed = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.tobytes())
        indexed.putpalette(job.label_map.colour_table().tobytes())
        pictures = [indexed, Image.fromarray(job.label_map.colourise(mask))][: len(lossless)]
    elif job.size is not None:
        image = resize_photo(image, job.size)
    with disk_errors(job.folder, "export"):
        for file, picture in zip(lossless, pictures, strict=True):
            _save(picture, file, "PNG")
        photo = Image.fromarray(np.ascontiguousarray(image))
        _save(photo, photo_file, "JPEG" if job.photo_format == "jpeg" else "PNG")
    return _attribute_row(sample)


def _attribute_row(sample: FaceSample) -> list[int] | None:
    return None if sample.attributes is None else [int(value) for value in sample.attributes]


def _save(picture: Image.Image, file: Path, kind: str) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": _JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}))
    _write_whole(file, buffer.getvalue())


def _write_whole(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)


def _claim(folder: Path, record: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RECORD
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(folder.iterdir()):
            raise FacekitError(
                "the folder is not empty, and what is in it is no export",
                where=str(folder),
                remedy="choose another folder",
            ) from None
        write_json(file, record)
        return
    except ValueError as error:
        raise FacekitError("the record of the export in this folder is damaged", where=str(file)) from error
    if there != record:
        raise FacekitError(
            "the folder holds the export of another dataset, or one with other options",
            where=str(folder),
            remedy="choose another folder, or remove this one",
        )


def _write_tables(dataset: FaceDataset, folder: Path, splits: dict[str, list[int]]) -> None:
    for split, indices in splits.items():
        lines = "".join(f"{dataset.keys[index]}\n" for index in indices)
        _write_whole(folder / SPLIT_LISTS / f"{split}.txt", lines.encode())
    if not dataset.label_map.classes:
        return
    entries = [[number, entry.name, *entry.colour] for number, entry in enumerate(dataset.label_map.classes)]
    _write_csv(folder / CLASS_FILE, [["id", "name", "red", "green", "blue"], *entries])


def _write_csv(file: Path, rows: list[list[object]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    _write_whole(file, buffer.getvalue().encode())
