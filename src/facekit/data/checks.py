"""``check_dataset``: everything that is wrong with a dataset, found before a training run finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facekit.data.extras import ArrayKind, extra_problems, kind_problems, kinds_of, mirrored_extra
from facekit.data.geometry import same_aspect
from facekit.data.parallel import Progress, ProgressCallback, ignore_progress, over_samples
from facekit.faces.attributes import SHOWN_BY, VISIBLE_MOUTH, ShownAttribute, shows
from facekit.faces.copies import KnownPhotos, thumbnail
from facekit.faces.sides import exchanged_sides
from facekit.interfaces import SPLITS, FaceDataset, FacekitError, FaceSample, Finding, LabelMap, Repairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOUTH: ShownAttribute = "Mouth_Slightly_Open"
_READ_OFF = 0.99  # agreement that people's labels and masks never reach; they agree in about 9 of 10 photos
_FEWEST = 20  # faces that are enough to decide


@dataclass(frozen=True, slots=True)
class ClassFrequency:
    """How often a class occurs.

    Args:
        name: the class.
        pixels: share of all pixels in [0, 1], each image counting the same whatever its size.
        images: number of images it occurs in.
    """

    name: str
    pixels: float
    images: int


@dataclass(frozen=True, slots=True)
class AttributeFrequency:
    """How often an attribute holds: the number of images that have it."""

    name: str
    images: int


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        findings: all of it: what concerns the whole dataset first, then sample by sample.
        samples: number of images looked at.
        readable: number of them without an error; the figures below are about these.
        splits: number of images in each split.
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
    """Return what is wrong with a sample's mask, or with the lack of one, by the label map of its dataset."""
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

    Found: what the dataset's own checks find (unreadable, truncated and oversized images, parts or masks that are
    missing, odd sizes, files that belong to nothing), masks with ids outside the label map, masks in which left and
    right are exchanged, photos and masks of different aspect, samples without a mask where others have one, further
    arrays that are not finite or differ from those of the first sample, samples in two splits, copies of a photo in two
    splits, keys that occur twice, classes that never occur. What concerns masks is left out for photos without masks.

    Args:
        dataset, workers, progress: as of :func:`~facekit.data.cache.prepare`.
        size: the side they are wanted at; smaller photos are warned of. Shapes of further arrays are compared at this
            side; without it only their number of dimensions, since a shape may depend on the side.
    """
    report = progress or ignore_progress
    label_map, attribute_names = dataset.label_map, dataset.attribute_names
    findings = [*_split_findings(dataset), *dataset.check_all()]
    members = sorted({int(index) for indices in dataset.splits().values() for index in indices})
    examined: dict[int, tuple[list[Finding], _Sample | None]] = {}
    for done, (index, result) in enumerate(over_samples(_examine, dataset, members, size, workers=workers), start=1):
        examined[index] = result
        report(Progress("pictures", done, len(members)))
    readable: list[tuple[str, _Sample]] = []
    first: tuple[str, tuple[ArrayKind, ...]] | None = None
    for index in members:  # in order, so that sums and lists do not depend on which worker was faster
        found, sample = examined[index]
        findings.extend(found)
        if sample is None:
            continue
        key = dataset.keys[index]
        name, kinds = first = first or (key, sample.extra)
        if problems := kind_problems(kinds, sample.extra, of=f"sample {name}", shapes=size is not None):
            findings.extend(Finding("error", f"sample {key}", problem) for problem in problems)
        else:
            readable.append((key, sample))
    findings += _copies(dataset, {i: sample.thumbnail for i, (_, sample) in examined.items() if sample})

    samples = [sample for _, sample in readable]
    masks = [each.class_pixels for each in samples if each.class_pixels is not None]
    pixels = np.array(masks, dtype=np.int64).reshape(len(masks), len(label_map))
    shares = (pixels / pixels.sum(1, keepdims=True)).sum(0) / max(1, len(readable))
    class_images = (pixels > 0).sum(0)
    held = [each.attributes for each in samples if each.attributes is not None]
    attribute_images = np.array(held, dtype=np.int64).reshape(len(held), len(attribute_names)).sum(0)
    for name, images in zip(label_map.names, class_images, strict=True) if readable else ():
        if not images:
            findings.append(Finding("warning", f"class {name}", "the class occurs in no mask; a model cannot learn it"))
    for name, images in zip(attribute_names, attribute_images, strict=True) if readable else ():
        if images in (0, len(readable)):
            message = f"{'every' if images else 'no'} picture has it; a model cannot learn it"
            findings.append(Finding("warning", f"attribute {name}", message))
    findings += _mouth_findings([each.mouth for each in samples if each.mouth is not None])
    photo_sizes = Counter(each.photo_size for each in samples)
    mask_sizes = Counter(each.mask_size for each in samples if each.mask_size is not None)
    return CheckReport(
        findings=tuple(findings),
        samples=len(members),
        readable=len(readable),
        splits={split: len(indices) for split, indices in dataset.splits().items()},
        classes=tuple(
            ClassFrequency(name, float(share), int(images))
            for name, share, images in zip(label_map.names, shares, class_images, strict=True)
        ),
        attributes=tuple(map(AttributeFrequency, attribute_names, attribute_images.tolist())),
        photo_sizes=dict(photo_sizes.most_common()),
        mask_sizes=dict(mask_sizes.most_common()),
        repairs={
            name: tuple(key for key, sample in readable if name in sample.repairs)
            for name in (dataset.repair_names if isinstance(dataset, Repairs) else ())
        },
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """The figures of a sample without an error."""

    photo_size: tuple[int, int]
    mask_size: tuple[int, int] | None  # None for photos without masks, like the next
    class_pixels: NDArray[np.int64] | None  # (classes,)
    attributes: NDArray[np.bool_] | None
    extra: tuple[ArrayKind, ...]
    repairs: tuple[str, ...]
    mouth: tuple[bool, bool, bool] | None  # what _mouth_of() returns
    thumbnail: NDArray[np.uint8]  # (32, 32, 3)


def _examine(dataset: FaceDataset, index: int, size: int | None) -> tuple[list[Finding], _Sample | None]:
    """Return the findings about a sample, and its figures where none of them is an error."""
    findings = list(dataset.check(index))
    if any(finding.level == "error" for finding in findings):
        return findings, None
    where = f"sample {dataset.keys[index]}"
    label_map, wanted = dataset.label_map, len(dataset.attribute_names)
    try:
        sample = dataset.read(index)
        # Arrays may depend on the side, so they are checked as they will be packed.
        sized = dataset.read(index, size=size) if sample.extra and size is not None else sample
        photo_size = (sample.image.shape[1], sample.image.shape[0])
        if size is not None and min(photo_size) < size:
            message = f"the photo ({_spell(photo_size)}) is smaller than {size} pixels and will be enlarged"
            findings.append(Finding("warning", where, message))
        problems = mask_problems(sample, label_map)
        if wanted and (sample.attributes is None or sample.attributes.shape != (wanted,)):
            problems.append(f"the sample does not have the {wanted} attributes of its dataset")
        extra = extra_problems(sized)
        findings += [Finding("error", where, problem) for problem in [*problems, *extra]]
        if not extra:
            mirrored_extra(dataset, sized.extra)
    except FacekitError as error:
        findings.append(Finding("error", error.where or where, error.message, error.remedy))
        return findings, None
    if any(finding.level == "error" for finding in findings):
        return findings, None
    mask_size = class_pixels = None
    if sample.mask is not None:
        mask_size = (sample.mask.shape[1], sample.mask.shape[0])
        class_pixels = np.bincount(sample.mask.ravel(), minlength=len(label_map))
        if pairs := exchanged_sides(sample.mask, label_map):
            names = ", ".join(f"{left} and {right}" for left, right in pairs)
            message = f"left and right are exchanged in the mask: {names}; they are the person's own sides"
            remedy = "exchange the classes in the mask, or let the dataset repair it on reading (option `sides`)"
            findings.append(Finding("warning", where, message, remedy))
    return findings, _Sample(
        photo_size=photo_size,
        mask_size=mask_size,
        class_pixels=class_pixels,
        attributes=sample.attributes if wanted else None,
        extra=kinds_of(sized.extra),
        repairs=sample.repairs,
        mouth=_mouth_of(dataset, sample),
        thumbnail=thumbnail(sample.image),
    )


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
    for key, count in Counter(dataset.keys).items():
        if count > 1:
            yield Finding("error", f"sample {key}", f"{count} samples have this key")


def _copies(dataset: FaceDataset, thumbnails: Mapping[int, NDArray[np.uint8]]) -> Iterator[Finding]:
    """Find photos that two splits share, by thumbnails (32, 32, 3): a copy leaks training data into the test."""
    splits = {
        split: [int(index) for index in indices if int(index) in thumbnails]
        for split, indices in dataset.splits().items()
    }
    for first, second in combinations([split for split, indices in splits.items() if indices], 2):
        ours, theirs = (np.stack([thumbnails[index] for index in splits[split]]) for split in (second, first))
        matches: dict[int, list[int]] = {}
        for row, other in KnownPhotos(theirs).copies(ours):
            if splits[second][row] != splits[first][other]:  # one sample in two splits is an error of its own
                matches.setdefault(splits[second][row], []).append(splits[first][other])
        for index, others in matches.items():
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            yield Finding(
                "warning",
                f"sample {dataset.keys[index]}",
                f"the photo, of the {second} split, is also in the {first} split: {dataset.keys[others[0]]}{more} "
                "(tone, size, mirroring and small differences of crop aside)",
                "leave one of them out of the splits",
            )


def _mouth_of(dataset: FaceDataset, sample: FaceSample) -> tuple[bool, bool, bool] | None:
    """Return whether a face has the attribute, whether its mask shows any mouth, and whether one that people see.

    None where the dataset does not have both.
    """
    if sample.mask is None or sample.attributes is None or _MOUTH not in dataset.attribute_names:
        return None
    if SHOWN_BY[_MOUTH] not in dataset.label_map.names:
        return None
    labelled = bool(sample.attributes[dataset.attribute_names.index(_MOUTH)])
    any_mouth, visible = (shows(sample.mask, dataset.label_map, _MOUTH, area) for area in (0, VISIBLE_MOUTH))
    return labelled, any_mouth, visible


def _mouth_findings(mouths: Sequence[tuple[bool, bool, bool]]) -> Iterator[Finding]:
    """Find an attribute file that calls the mouth open for every mask with a pixel of mouth."""
    agreed = sum(labelled == any_mouth for labelled, any_mouth, _ in mouths)
    small = sum(labelled and any_mouth and not visible for labelled, any_mouth, visible in mouths)
    open_mouths = sum(labelled for labelled, _, _ in mouths)
    if len(mouths) < _FEWEST or agreed < _READ_OFF * len(mouths) or not small:
        return
    yield Finding(
        "warning",
        f"attribute {_MOUTH}",
        f"it is read off the masks from a single pixel on: {small} of the {open_mouths} mouths that are called open "
        f"cover less than {VISIBLE_MOUTH:.1%} of the picture, which looks shut",
        f"read it off larger areas, where the dataset has the option: mask_attributes: {{{_MOUTH}: 0.004}}, or "
        f"{VISIBLE_MOUTH:g} for what people see in photos of 512 pixels",
    )


def _spell(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
