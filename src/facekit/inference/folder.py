"""Generating files and whole folders: pairs by name, goes on where it stopped, passes over what is damaged.

Threads read pictures ahead of the networks and write results behind them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from facekit.inference import provenance
from facekit.inference.files import (
    FolderItem,
    FolderResult,
    Progress,
    content_of,
    is_result_file,
    pictures_of,
)
from facekit.inference.given import Given, RegionReference, check_attributes, check_given, joined
from facekit.inference.pictures import to_pictures
from facekit.inference.pipeline import DEFAULT_BATCH, FacePipeline
from facekit.interfaces import FacekitError
from facekit.interfaces.image_files import read_image
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE

THREADS = 4
"""That read and write pictures; more of them only wait for the networks."""

COMPRESSION = 1
"""Of PNG files: 6, the usual, takes several times as long and saves a tenth of their size."""

_NAMING = (MASK, SOURCE, REFERENCE)
"""What results are named after: the first of these that is a folder, or else the first that is given."""

_KEYS = {MASK: provenance.MASK, REFERENCE: provenance.REFERENCE, SOURCE: provenance.PHOTO}
"""Where a result's record names its files."""


@dataclass(frozen=True)
class _Job:
    """One image to be: its files by input, its number among those of the same files, and where it goes."""

    files: Mapping[str, Path]
    name: str
    number: int
    output: Path

    @property
    def key(self) -> str:
        """What its noise depends on, beside the seed."""
        return f"{self.name}/{self.number}" if self.name else str(self.number)


@dataclass(frozen=True)
class _Prepared:
    job: _Job
    given: Given
    record: Mapping[str, object]
    message: str = ""


def generate_folder(
    pipeline: FacePipeline,
    *,
    mask: str | Path | None = None,
    reference: str | Path | None = None,
    reference_mask: str | Path | None = None,
    source: str | Path | None = None,
    attributes: Mapping[str, bool] | None = None,
    region_references: Mapping[str, tuple[str | Path, str | Path]] | None = None,
    count: int | None = None,
    seed: int | None = None,
    output: str | Path,
    overwrite: bool = False,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
) -> FolderResult[FolderItem]:
    """Generate from files, or from every file of folders, and save the results as PNG.

    Folders are paired by the names of their files without suffix. One file goes with every file of a folder. Every
    result carries what made it; a result that the same weights made from the same inputs is skipped, so that calling it
    again goes on where it stopped.

    Results are named after the mask, source or reference. With ``count`` they are named ``NAME-SEED-0000.png``, or
    ``SEED-0000.png`` where nothing but noise is read. The noise of an image depends on the seed, and on its
    ``sample_key`` in the record: ``NAME/NUMBER``, or the number alone.

    Args:
        pipeline: the loaded run.
        mask: a mask, or a folder of masks.
        reference: a photo, or a folder of photos.
        reference_mask: the mask of the reference photo, or a folder with the masks of the reference folder.
        source: the photo to change, or a folder of photos.
        attributes: the wanted attributes by name; others stay as the run reads them off the source photo.
        region_references: by the name of a region, another photo whose style it has in every image, and its own mask.
        count: how many images to generate from each input, for runs that start from noise; by default one.
        seed: of the noise; by default 0.
        output: a folder; or, for a single result, a file that ends in ``.png``.
        overwrite: generate again what is there, and replace other files of those names.
        batch: most images to generate at once.
        progress: called after each result with it, its number from 1, and how many there are.

    Returns:
        what became of each. Damaged files, and files without a partner, are among the ``failed``; they stop nothing.

    Raises:
        FacekitError: a file or folder does not exist, a file that was named is wrong, a folder holds no pictures, or
            the run needs something else than what is given.
        RunFailure: a result cannot be written (a full disk).
    """
    given = {MASK: mask, REFERENCE: reference, REFERENCE_MASK: reference_mask, SOURCE: source}
    paths = {name: Path(path) for name, path in given.items() if path is not None}
    check_given(pipeline.inputs, {*paths, *([ATTRIBUTES] if attributes else [])}, where=str(pipeline.run))
    check_attributes(attributes or {}, pipeline.attribute_names, where=str(pipeline.run))
    if count is not None or seed is not None:
        pipeline.check_starts_from_noise()
    of_regions = region_references or {}
    pairs = {pair: (read_image(Path(pair[0])), read_image(Path(pair[1]))) for pair in {*of_regions.values()}}
    regions = pipeline.read_region_references({name: pairs[pair] for name, pair in of_regions.items()})
    jobs = _plan(paths, Path(output), count=count, seed=seed or 0)
    reader = _Reader(pipeline, attributes or {}, of_regions, seed=seed or 0, overwrite=overwrite)
    of_a_folder = any(path.is_dir() for path in paths.values())
    result = FolderResult[FolderItem]()

    def note(item: FolderItem) -> None:
        result.items.append(item)
        if progress is not None:
            progress(item, len(result.items), len(jobs))

    _run(jobs, reader, regions, batch=batch, seed=seed or 0, stops=not of_a_folder, note=note)
    order = {job.output: number for number, job in enumerate(jobs)}
    result.items.sort(key=lambda item: order[item.output])
    return result


def _run(
    jobs: Sequence[_Job | FolderItem],
    reader: _Reader,
    regions: tuple[RegionReference, ...],
    *,
    batch: int,
    seed: int,
    stops: bool,
    note: Callable[[FolderItem], None],
) -> None:
    """Read, generate and write at the same time: files on threads, images in batches; ``note`` is told of each.

    Args:
        stops: whether a file that is wrong stops the rest.
    """
    with _threads() as pool:
        coming = iter(jobs)
        reading = deque((job, pool.submit(reader.prepare, job)) for job in islice(coming, batch + THREADS))
        writing: deque[tuple[_Prepared, Future[None]]] = deque()
        pending: list[_Prepared] = []
        while reading:
            job, read = reading.popleft()
            reading.extend((later, pool.submit(reader.prepare, later)) for later in islice(coming, 1))
            try:
                prepared = read.result()
                if isinstance(prepared, _Prepared):
                    pending.append(reader.with_attributes(prepared))
                else:
                    note(prepared)
            except FacekitError as error:
                if stops or error.exit_code != 2:
                    raise
                note(FolderItem(job.output, "failed", str(error)))
            if len(pending) == batch or (pending and not reading):
                writing.extend(_generate(reader.pipeline, pending, regions, pool, seed=seed))
                pending.clear()
            while len(writing) > (batch if reading else 0):
                written, saved = writing.popleft()
                saved.result()
                note(FolderItem(written.job.output, "written", written.message))


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give threads that finish what they began, and begin nothing more, where the context ends by an error."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="facekit-pictures")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _plan(paths: Mapping[str, Path], output: Path, *, count: int | None, seed: int) -> list[_Job | FolderItem]:
    """Return what is to be generated; results whose partner is missing are failed already."""
    for role, path in paths.items():
        if not path.exists():
            raise FacekitError(f"there is no such {role.replace('_', ' ')}", where=str(path))
        if not path.is_dir():
            read_image(path)  # a damaged file that was named spoils every result; say so once
    masks = paths.get(REFERENCE_MASK)
    if masks is not None and paths[REFERENCE].is_dir() != masks.is_dir():
        raise FacekitError(
            "a folder of references has a folder of masks, and one reference one mask",
            where=str(masks),
            remedy="give two files or two folders",
        )
    files = {role: pictures_of(path) for role, path in paths.items()}
    naming = [role for role in _NAMING if role in paths]
    named = next((role for role in naming if paths[role].is_dir()), naming[0] if naming else None)
    names = [""] if named is None else list(files[named])
    numbers = range(1 if count is None else count)
    is_file = is_result_file(output)
    if is_file and ((named is not None and paths[named].is_dir()) or len(numbers) > 1):
        raise FacekitError("there are several results", where=str(output), remedy="give a folder to put them in")
    if output.is_file() and not is_file:
        raise FacekitError("this is a file, not a folder", where=str(output))
    jobs: list[_Job | FolderItem] = []
    for name in names:
        partners, problem = _partners(paths, files, name)
        for number in numbers:
            numbered = [f"{seed}-{number:04d}"] if count is not None or not name else []
            target = output if is_file else output / f"{'-'.join([*([name] if name else []), *numbered])}.png"
            jobs.append(FolderItem(target, "failed", problem) if problem else _Job(partners, name, number, target))
    return jobs


def _partners(
    paths: Mapping[str, Path], files: Mapping[str, Mapping[str, Path]], name: str
) -> tuple[dict[str, Path], str]:
    """Return the files of a result by input, and what is wrong with them, or nothing."""
    found: dict[str, Path] = {}
    for role, path in paths.items():
        if not path.is_dir():
            found[role] = path
            continue
        wanted = found[REFERENCE].stem if role == REFERENCE_MASK else name
        if wanted not in files[role]:
            return found, f"{path}: there is no {role.replace('_', ' ')} called {wanted!r}"
        found[role] = files[role][wanted]
    return found, ""


class _Reader:
    """Reads what results are made of. Files that several results share are read once, or as often as threads begin them
    at the same time."""

    def __init__(
        self,
        pipeline: FacePipeline,
        attributes: Mapping[str, bool],
        regions: Mapping[str, tuple[str | Path, str | Path]],
        *,
        seed: int,
        overwrite: bool,
    ) -> None:
        self.pipeline, self._attributes = pipeline, attributes
        self._seed, self._overwrite = seed, overwrite
        self._made_of = pipeline.made_of
        self._read = lru_cache(maxsize=THREADS)(self._read_files)
        self._content = lru_cache(maxsize=THREADS)(self._content_of)
        self._told: dict[str, object] = {}
        if regions:
            self._told = {
                provenance.REGION_REFERENCES: {region: Path(photo).name for region, (photo, _) in regions.items()},
                provenance.REGION_REFERENCES_SHA256: {
                    region: content_of([Path(photo), Path(mask)]) for region, (photo, mask) in regions.items()
                },
            }

    def prepare(self, job: _Job | FolderItem) -> _Prepared | FolderItem:
        """Read what a result is made of but for its attributes, or find that it is there, or failed already.

        Raises:
            FacekitError: a file cannot be read or does not fit, or another file stands where the result goes.
        """
        if isinstance(job, FolderItem):
            return job
        pipeline, wanted, files = self.pipeline, self._attributes, tuple(job.files.items())
        told: dict[str, object] = {provenance.INPUTS_SHA256: self._content(files), **self._told}
        if wanted:
            told[provenance.WISHES] = {name: wanted[name] for name in pipeline.attribute_names if name in wanted}
        if pipeline.inputs.noise:
            told |= {provenance.SEED: self._seed, provenance.SAMPLE: job.number, provenance.SAMPLE_KEY: job.key}
        # None stands for no such references, so that a result that had them is not taken for one that had not.
        made_of = {provenance.REGION_REFERENCES_SHA256: None, **told, **self._made_of}
        made_with = "with other weights or from other pictures, attributes or noise"
        if not self._overwrite and provenance.is_there(job.output, made_of, made_with=made_with):
            return FolderItem(job.output, "skipped")
        told |= {key: job.files[role].name for role, key in _KEYS.items() if role in job.files}
        return _Prepared(job, self._read(files), told)

    def with_attributes(self, prepared: _Prepared) -> _Prepared:
        """Return a result with the attributes that it is to have, some of which networks read off its photo."""
        wanted = self._attributes
        if not wanted:
            return prepared
        given = self.pipeline.with_attributes(prepared.given, wanted)
        assert given.attributes is not None
        names = self.pipeline.attribute_names
        shown = {name: bool(on) for name, on in zip(names, given.attributes[0].tolist(), strict=True)}
        read = [f"{name}={value:d}" for name, value in shown.items() if name not in wanted]
        message = f"read off the photo: {', '.join(read)}" if read else ""
        return _Prepared(prepared.job, given, {**prepared.record, provenance.ATTRIBUTES: shown}, message)

    def _content_of(self, files: tuple[tuple[str, Path], ...]) -> str:
        content, pipeline = content_of([path for _, path in files]), self.pipeline
        if pipeline.inputs.optional:  # the same files may be given for other roles
            content = hashlib.sha256(f"{content} {' '.join(role for role, _ in files)}".encode()).hexdigest()
        if pipeline.mask_label_map != pipeline.label_map:  # the same file means another mask
            content = hashlib.sha256(f"{content} {pipeline.mask_label_map.name}".encode()).hexdigest()
        return content

    def _read_files(self, files: tuple[tuple[str, Path], ...]) -> Given:
        return self.pipeline.read_pictures({role: read_image(path) for role, path in files})


def _generate(
    pipeline: FacePipeline,
    prepared: Sequence[_Prepared],
    regions: tuple[RegionReference, ...],
    pool: ThreadPoolExecutor,
    *,
    seed: int,
) -> list[tuple[_Prepared, Future[None]]]:
    """Generate a batch, and let threads save it. Files that all its results share are given once, so that a style is
    read once."""
    jobs = [each.job for each in prepared]
    shared = {role for role in jobs[0].files if len({job.files[role] for job in jobs}) == 1}
    if not {REFERENCE, REFERENCE_MASK} & jobs[0].files.keys() <= shared:
        shared -= {REFERENCE, REFERENCE_MASK}
    given = replace(joined([each.given for each in prepared], shared), region_references=regions)
    images = pipeline.generate_from(given, keys=[job.key for job in jobs], seed=seed, batch=len(jobs))
    records = [pipeline.record(**each.record) for each in prepared]
    return [
        (each, pool.submit(provenance.save_png, picture, each.job.output, record, compression=COMPRESSION))
        for each, picture, record in zip(prepared, to_pictures(images), records, strict=True)
    ]
