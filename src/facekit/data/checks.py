"""``check_dataset``: everything that is wrong with a dataset, found before a training run finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facekit.data.copies import copy_findings
from facekit.data.extras import ArrayKind, extra_problems, kind_problems, kinds_of, mirrored_extra
from facekit.data.geometry import same_aspect
from facekit.data.mask_labels import mouth_findings, mouth_of
from facekit.data.parallel import over_samples
from facekit.data.progress import Progress, ProgressCallback, ignore_progress
from facekit.faces import exchanged_sides, thumbnail
from facekit.interfaces import SPLITS, FaceDataset, FacekitError, FaceSample, Finding, LabelMap, Repairs

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassFrequency:
    """How often a class occurs.

    Args:
        name: the class.
        pixels: share of all pixels in [0, 1], each picture counting the same whatever its size.
        images: number of pictures it occurs in.
    """

    name: str
    pixels: float
    images: int


@dataclass(frozen=True, slots=True)
class AttributeFrequency:
    """How often an attribute holds: the number of pictures that have it."""

    name: str
    images: int


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        findings: all of it: what concerns the whole dataset first, then sample by sample.
        samples: number of pictures looked at.
        readable: number of them without an error; the figures below are about these.
        splits: number of pictures in each split.
        classes: each class of the label map, in id order; empty for photos without masks.
        attributes: each attribute, in the dataset's order.
        photo_sizes: how many photos have a size (width, height), most frequent first.
        mask_sizes: the same for masks; empty for photos without masks.
        repairs: the keys of the samples that the dataset repaired on reading, by the name of the repair.
    """

    findings: tuple[Finding, ...]
    samples: int
    readable: int
    splits: Mapping[str, int]
    classes: tuple[ClassFrequency, ...]
    attributes: tuple[AttributeFrequency, ...]
    photo_sizes: Mapping[tuple[int, int], int]
    mask_sizes: Mapping[tuple[int, int], int]
    repairs: Mapping[str, tuple[str, ...]]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that would stop ``prepare``; with any of them ``facekit data check`` exits with 2."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that would not."""
        return tuple(finding for finding in self.findings if finding.level == "warning")


def mask_problems(sample: FaceSample, label_map: LabelMap) -> list[str]:
    """Return what is wrong with a sample's mask, or with the lack of one; empty where nothing is.

    Args:
        sample: the sample.
        label_map: that of its dataset; without classes where the dataset has no masks.
    """
    mask, classes = sample.mask, len(label_map)
    if mask is None:
        return [f"the sample has no mask; the label map {label_map.name!r} has {classes} classes"] if classes else []
    if not classes:
        return [f"the sample has a mask; the label map {label_map.name!r} has no classes"]
    if not mask.size:
        return ["the mask has no pixels"]
    problems = []
    if (largest := int(mask.max())) >= classes:
        problems.append(f"the mask holds id {largest}; the label map {label_map.name!r} ends at {classes - 1}")
    if not same_aspect(sample.image.shape, mask.shape):
        photo_size, mask_size = (_spell(shape[1::-1]) for shape in (sample.image.shape, mask.shape))
        problems.append(f"photo ({photo_size}) and mask ({mask_size}) differ in aspect")
    return problems


def check_dataset(
    dataset: FaceDataset,
    *,
    size: int | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> CheckReport:
    """Read every sample of every split in full and report what is wrong, file by file.

    Found: what the dataset's own checks find (unreadable, truncated and oversized pictures, parts or masks that are
    missing, odd sizes, files that belong to nothing), masks with ids outside the label map, masks in which left and
    right are exchanged, photos and masks of different aspect, samples without a mask where others have one, further
    arrays that are not finite or differ from those of the first sample, samples in two splits, copies of a photo in two
    splits, keys that occur twice, classes that never occur. What concerns masks is left out for photos without masks.

    Args:
        dataset: the pictures.
        size: the side they are wanted at; smaller photos are warned of. Shapes of further arrays are compared at this
            side; without it only their number of dimensions, since a shape may depend on the side.
        workers: processes; one a core, 8 at most, when None.
        progress: told how far it is.
    """
    report = progress or ignore_progress
    findings = [*_split_findings(dataset), *_key_findings(dataset), *dataset.check_all()]
    members = sorted({int(index) for indices in dataset.splits().values() for index in indices})
    repairs = dataset.repair_names if isinstance(dataset, Repairs) else ()
    tally = _Tally(len(dataset.label_map), len(dataset.attribute_names), repairs)
    looks: dict[int, _Look] = {}
    for done, (index, look) in enumerate(over_samples(_look, dataset, members, size, workers=workers), start=1):
        looks[index] = look
        report(Progress("pictures", done, len(members)))
    first: tuple[str, tuple[ArrayKind, ...]] | None = None
    for index in members:  # in order, so that sums and lists do not depend on which worker was faster
        look = looks[index]
        if look.seen is not None:
            key = dataset.keys[index]
            first = first or (key, look.seen.extra)
            look = _compared(look, key, *first, shapes=size is not None)
        findings.extend(look.findings)
        tally.add(look, dataset.keys[index])
    thumbnails = {index: look.seen.thumbnail for index, look in looks.items() if look.seen is not None}
    findings.extend([*copy_findings(dataset, thumbnails), *tally.never_seen(dataset), *mouth_findings(tally.mouths)])
    return CheckReport(
        findings=tuple(findings),
        samples=len(members),
        readable=tally.readable,
        splits={split: len(indices) for split, indices in dataset.splits().items()},
        classes=tally.class_frequencies(dataset),
        attributes=tuple(
            AttributeFrequency(name, int(count))
            for name, count in zip(dataset.attribute_names, tally.attributes, strict=True)
        ),
        photo_sizes=dict(tally.photo_sizes.most_common()),
        mask_sizes=dict(tally.mask_sizes.most_common()),
        repairs={name: tuple(keys) for name, keys in tally.repairs.items()},
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    photo_size: tuple[int, int]
    mask_size: tuple[int, int] | None  # None for photos without masks, like the next
    class_pixels: NDArray[np.int64] | None  # (classes,)
    attributes: NDArray[np.bool_] | None
    extra: tuple[ArrayKind, ...]
    repairs: tuple[str, ...]
    mouth: tuple[bool, bool, bool] | None  # what mouth_of() returns
    thumbnail: NDArray[np.uint8]  # (32, 32, 3)


@dataclass(frozen=True, slots=True)
class _Look:
    findings: list[Finding]
    seen: _Seen | None  # None for samples with an error


def _compared(look: _Look, key: str, first: str, wanted: tuple[ArrayKind, ...], *, shapes: bool) -> _Look:
    """Return a look at a sample, with what its further arrays differ in from those of the first one."""
    found = () if look.seen is None else look.seen.extra
    problems = kind_problems(wanted, found, of=f"sample {first}", shapes=shapes)
    if not problems:
        return look
    findings = [Finding("error", f"sample {key}", problem) for problem in problems]
    return replace(look, findings=[*look.findings, *findings], seen=None)


def _look(dataset: FaceDataset, index: int, size: int | None) -> _Look:
    findings = list(dataset.check(index))
    if any(finding.level == "error" for finding in findings):
        return _Look(findings, None)
    where = f"sample {dataset.keys[index]}"
    try:
        sample = dataset.read(index)
        # Arrays may depend on the side, so they are looked at as they will be packed.
        sized = dataset.read(index, size=size) if sample.extra and size is not None else sample
    except FacekitError as error:
        return _Look([*findings, Finding("error", error.where or where, error.message, error.remedy)], None)
    findings.extend(Finding("error", where, problem) for problem in mask_problems(sample, dataset.label_map))
    photo_size = (sample.image.shape[1], sample.image.shape[0])
    wanted = len(dataset.attribute_names)
    if wanted and (sample.attributes is None or sample.attributes.shape != (wanted,)):
        findings.append(Finding("error", where, f"the sample does not have the {wanted} attributes of its dataset"))
    if size is not None and min(photo_size) < size:
        message = f"the photo ({_spell(photo_size)}) is smaller than {size} pixels and will be enlarged"
        findings.append(Finding("warning", where, message))
    findings.extend(_extra_findings(dataset, sized, where))
    if any(finding.level == "error" for finding in findings):
        return _Look(findings, None)
    mask_size = class_pixels = None
    if sample.mask is not None:
        findings.extend(_side_findings(sample.mask, dataset.label_map, where))
        mask_size = (sample.mask.shape[1], sample.mask.shape[0])
        class_pixels = np.bincount(sample.mask.ravel(), minlength=len(dataset.label_map))
    seen = _Seen(
        photo_size=photo_size,
        mask_size=mask_size,
        class_pixels=class_pixels,
        attributes=sample.attributes if wanted else None,
        extra=kinds_of(sized.extra),
        repairs=sample.repairs,
        mouth=mouth_of(dataset, sample),
        thumbnail=thumbnail(sample.image),
    )
    return _Look(findings, seen)


def _side_findings(mask: NDArray[np.uint8], label_map: LabelMap, where: str) -> Iterator[Finding]:
    pairs = exchanged_sides(mask, label_map)
    if pairs:
        names = ", ".join(f"{left} and {right}" for left, right in pairs)
        message = f"left and right are exchanged in the mask: {names}; they are the person's own sides"
        remedy = "exchange the classes in the mask, or let the dataset repair it on reading (option `sides`)"
        yield Finding("warning", where, message, remedy)


def _extra_findings(dataset: FaceDataset, sample: FaceSample, where: str) -> Iterator[Finding]:
    problems = extra_problems(sample)
    yield from (Finding("error", where, problem) for problem in problems)
    if problems:
        return
    try:
        mirrored_extra(dataset, sample.extra)
    except FacekitError as error:
        yield Finding("error", error.where or where, error.message, error.remedy)


class _Tally:
    """The figures, summed up."""

    def __init__(self, classes: int, attributes: int, repairs: tuple[str, ...]) -> None:
        self.readable = 0
        self.pixel_shares = np.zeros(classes)
        self.class_images = np.zeros(classes, np.int64)
        self.attributes = np.zeros(attributes, np.int64)
        self.photo_sizes: Counter[tuple[int, int]] = Counter()
        self.mask_sizes: Counter[tuple[int, int]] = Counter()
        self.repairs: dict[str, list[str]] = {name: [] for name in repairs}
        self.mouths: list[tuple[bool, bool, bool]] = []  # of faces with masks and that attribute

    def add(self, look: _Look, key: str) -> None:
        if look.seen is None:
            return
        for name in look.seen.repairs:
            self.repairs[name].append(key)
        if look.seen.mouth is not None:
            self.mouths.append(look.seen.mouth)
        self.readable += 1
        if look.seen.mask_size is not None and look.seen.class_pixels is not None:
            counts = look.seen.class_pixels
            self.pixel_shares += counts / counts.sum()
            self.class_images += counts > 0
            self.mask_sizes[look.seen.mask_size] += 1
        if look.seen.attributes is not None:
            self.attributes += look.seen.attributes
        self.photo_sizes[look.seen.photo_size] += 1

    def class_frequencies(self, dataset: FaceDataset) -> tuple[ClassFrequency, ...]:
        shares = self.pixel_shares / max(1, self.readable)
        rows = zip(dataset.label_map.names, shares, self.class_images, strict=True)
        return tuple(ClassFrequency(name, float(share), int(images)) for name, share, images in rows)

    def never_seen(self, dataset: FaceDataset) -> Iterator[Finding]:
        if not self.readable:
            return
        for name, images in zip(dataset.label_map.names, self.class_images, strict=True):
            if not images:
                yield Finding("warning", f"class {name}", "the class occurs in no mask; a model cannot learn it")
        for name, images in zip(dataset.attribute_names, self.attributes, strict=True):
            if images in (0, self.readable):
                owners = "no picture has" if not images else "every picture has"
                yield Finding("warning", f"attribute {name}", f"{owners} it; a model cannot learn it")


def _split_findings(dataset: FaceDataset) -> Iterator[Finding]:
    owner: dict[int, str] = {}
    for split, indices in dataset.splits().items():
        if split not in SPLITS:
            yield Finding("error", f"split {split}", f"there is no such split; they are called {', '.join(SPLITS)}")
        for index in map(int, indices):
            if not 0 <= index < len(dataset.keys):
                yield Finding("error", f"split {split}", f"it names sample {index}; there are {len(dataset.keys)}")
            elif index in owner:
                message = f"the sample is in the splits {owner[index]} and {split}; splits never overlap"
                yield Finding("error", f"sample {dataset.keys[index]}", message)
            owner.setdefault(index, split)
    if not owner:
        yield Finding("error", "splits", "no sample belongs to a split")


def _key_findings(dataset: FaceDataset) -> Iterator[Finding]:
    for key, count in Counter(dataset.keys).items():
        if count > 1:
            yield Finding("error", f"sample {key}", f"{count} samples have this key")


def _spell(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
