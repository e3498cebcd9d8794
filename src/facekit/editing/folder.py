"""Painting files and whole folders: pairs by name, goes on where it stopped, passes over what is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from facekit.editing import provenance
from facekit.editing.files import (
    FolderItem,
    FolderResult,
    Progress,
    content_of,
    is_result_file,
    open_picture,
    pictures_of,
)
from facekit.editing.pictures import Batch, read_photos, to_pictures
from facekit.editing.pipeline import DEFAULT_BATCH, FacePipeline
from facekit.interfaces import FacekitError


@dataclass(frozen=True)
class _Job:
    mask: Path
    reference: Path | None
    reference_mask: Path | None
    output: Path


@dataclass(frozen=True)
class _Prepared:
    job: _Job
    inputs: str
    mask: Batch
    reference: Batch | None
    reference_mask: Batch | None


def generate_folder(
    pipeline: FacePipeline,
    *,
    mask: str | Path,
    reference: str | Path | None = None,
    reference_mask: str | Path | None = None,
    output: str | Path,
    overwrite: bool = False,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
) -> FolderResult:
    """Paint a mask file, or every mask of a folder, and save the results as PNG.

    Two folders are paired by the names of their files without suffix. One file goes with every file of a folder.
    Every result carries what made it; a result that the same weights made from the same files is skipped, so that
    calling it again goes on where it stopped.

    Args:
        pipeline: the loaded run.
        mask: a mask, or a folder of masks.
        reference: a photo, or a folder of photos; left out for runs that take no reference.
        reference_mask: the mask of the reference photo, or a folder with the masks of the reference folder.
        output: a folder; or, for a single result, a file that ends in ``.png``.
        overwrite: paint again what is there, and replace other files of those names.
        batch: most pictures to paint at once.
        progress: called after each result with it, its number from 1, and how many there are.

    Returns:
        what became of each. Damaged files, and files without a partner, are among the ``failed``; they stop nothing.

    Raises:
        FacekitError: a file or folder does not exist, a file that was named is wrong, a folder holds no pictures, or
            the run needs a reference or its mask and there is none.
        RunFailure: a result cannot be written (a full disk).
    """
    pipeline.check_paints_masks()
    result = FolderResult()
    paths = Path(mask), _path(reference), _path(reference_mask)
    jobs = _plan(pipeline, *paths, Path(output))
    total = len(jobs)
    of_a_folder = any(path is not None and path.is_dir() for path in paths)

    def note(item: FolderItem) -> None:
        result.items.append(item)
        if progress is not None:
            progress(item, len(result.items), total)

    pending: list[_Prepared] = []
    for job in jobs:
        try:
            prepared = job if isinstance(job, FolderItem) else _prepare(pipeline, job, overwrite=overwrite)
        except FacekitError as error:
            if not of_a_folder:
                raise
            note(FolderItem(job.output, "failed", str(error)))
            continue
        if isinstance(prepared, FolderItem):
            note(prepared)
            continue
        pending.append(prepared)
        if len(pending) == batch:
            _paint(pipeline, pending, note)
            pending.clear()
    if pending:
        _paint(pipeline, pending, note)
    return result


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _plan(
    pipeline: FacePipeline, mask: Path, reference: Path | None, reference_mask: Path | None, output: Path
) -> list[_Job | FolderItem]:
    """Return what is to be painted; results whose partner is missing are failed already."""
    for role, path in (("mask", mask), ("reference", reference), ("reference mask", reference_mask)):
        if path is not None and not path.exists():
            raise FacekitError(f"there is no such {role}", where=str(path))
        if path is not None and not path.is_dir():
            open_picture(path)  # a damaged file that was named spoils every result; say so once
    _check_reference_paths(pipeline, reference, reference_mask)
    masks = pictures_of(mask)
    references = None if reference is None else pictures_of(reference)
    reference_masks = None if reference_mask is None else pictures_of(reference_mask)

    # Results are named after what there are several of.
    by_reference = not mask.is_dir() and reference is not None and reference.is_dir()
    names = list(references or {}) if by_reference else list(masks)
    is_file = is_result_file(output)
    if is_file and (mask.is_dir() or by_reference):
        raise FacekitError("there are several results", where=str(output), remedy="give a folder to put them in")
    if output.is_file() and not is_file:
        raise FacekitError("this is a file, not a folder", where=str(output))

    jobs: list[_Job | FolderItem] = []
    for name in names:
        target = output if is_file else output / f"{name}.png"
        photo, photo_problem = _partner(references, reference, name, role="reference")
        photo_mask, mask_problem = _partner(
            reference_masks, reference_mask, name if photo is None else photo.stem, role="reference mask"
        )
        problem = photo_problem or mask_problem
        if problem is not None:
            jobs.append(FolderItem(target, "failed", problem))
        else:
            jobs.append(_Job(masks[name] if mask.is_dir() else mask, photo, photo_mask, target))
    return jobs


def _check_reference_paths(pipeline: FacePipeline, reference: Path | None, reference_mask: Path | None) -> None:
    if reference is None and pipeline.takes_reference:
        raise FacekitError(
            "this run paints in the look of a reference photo, and there is none",
            where=str(pipeline.run),
            remedy="give --reference, and its own mask as --reference-mask",
        )
    if reference is None and reference_mask is not None:
        raise FacekitError("there is a reference mask without a reference", where=str(reference_mask))
    if reference is not None and reference_mask is None and pipeline.takes_reference_mask:
        raise FacekitError(
            "this run reads the look of a photo region by region, so a reference travels with its own mask",
            where=str(reference),
            remedy="give --reference-mask: the class ids of the reference photo (not the mask to paint)",
        )
    if reference is not None and reference_mask is not None and reference.is_dir() != reference_mask.is_dir():
        raise FacekitError(
            "a folder of references has a folder of masks, and one reference one mask",
            where=str(reference_mask),
            remedy="give two files or two folders",
        )


def _partner(
    files: dict[str, Path] | None, given: Path | None, name: str, *, role: str
) -> tuple[Path | None, str | None]:
    if files is None or given is None:
        return None, None
    if not given.is_dir():
        return given, None
    if name not in files:
        return None, f"{given}: there is no {role} called {name!r}"
    return files[name], None


def _prepare(pipeline: FacePipeline, job: _Job, *, overwrite: bool) -> _Prepared | FolderItem:
    """Read what a result is made of, or find that it is there.

    Raises:
        FacekitError: a file cannot be read or does not fit, or another file stands where the result goes.
    """
    inputs = content_of([path for path in (job.mask, job.reference, job.reference_mask) if path is not None])
    if pipeline.mask_label_map != pipeline.label_map:  # the same file means another mask
        inputs = hashlib.sha256(f"{inputs} {pipeline.mask_label_map.name}".encode()).hexdigest()
    made_of = {provenance.INPUTS_SHA256: inputs, provenance.WEIGHTS_SHA256: pipeline.weights_sha256}
    made_with = "with other weights or from other pictures"
    if not overwrite and provenance.is_there(job.output, made_of, made_with=made_with):
        return FolderItem(job.output, "skipped")
    masks = pipeline.read_masks(open_picture(job.mask), role="mask")
    photos = None
    if job.reference is not None:
        photos = read_photos(open_picture(job.reference), size=pipeline.size, role="reference")
    photo_masks = None
    if job.reference_mask is not None:
        photo_masks = pipeline.read_masks(open_picture(job.reference_mask), role="reference_mask")
    pipeline.check_reference(photos, photo_masks)
    return _Prepared(job, inputs, masks, photos, photo_masks)


def _paint(pipeline: FacePipeline, prepared: Sequence[_Prepared], note: Callable[[FolderItem], None]) -> None:
    """Paint and save a batch. Results that share one reference are painted with one reading of it."""
    shared = len({(each.job.reference, each.job.reference_mask) for each in prepared}) == 1
    used = list(prepared[:1] if shared else prepared)
    images = pipeline.paint(
        _joined([each.mask for each in prepared]),
        _joined([each.reference for each in used if each.reference is not None]) if used[0].reference else None,
        _joined([each.reference_mask for each in used if each.reference_mask is not None])
        if used[0].reference_mask
        else None,
        batch=len(prepared),
    )
    for each, picture in zip(prepared, to_pictures(images), strict=True):
        job = each.job
        record = pipeline.record(**{provenance.INPUTS_SHA256: each.inputs, provenance.MASK: job.mask.name})
        if job.reference is not None:
            record[provenance.REFERENCE] = job.reference.name
        provenance.save_png(picture, job.output, record)
        note(FolderItem(job.output, "written"))


def _joined(batches: Sequence[Batch]) -> Batch:
    return Batch(
        torch.cat([batch.tensor for batch in batches]),
        tuple(chain.from_iterable(batch.sizes for batch in batches)),
        tuple(chain.from_iterable(batch.names for batch in batches)),
        single=False,
    )
