"""The runner: generates every face of a split for every task, and shows the results to the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from facekit.data.loader import fixed_batch
from facekit.data.sampling import drawn_donors
from facekit.data.store import PackedFaces
from facekit.evaluation.results import PARTS, EvaluationResult, PaintedFace, bootstrap_interval, common_fields
from facekit.evaluation.tasks import TASK_SEED, TaskPairs, faces_of, wanted_pairs
from facekit.interfaces import (
    Condition,
    FaceBatch,
    FacekitError,
    Generated,
    LabelMap,
    Measurement,
    Metric,
    Observation,
    Reference,
    RunFailure,
    map_tensors,
)
from facekit.sampling.inputs import MASK, REFERENCE, REFERENCE_MASK, SOURCE, SamplingInputs
from facekit.sampling.noise import noise_for_keys
from facekit.training.precision import Precision
from facekit.training.samples import to_pixels


def round_to_8_bits(image: Tensor) -> Tensor:
    """Return pictures as they would be read back from an 8-bit file.

    Args:
        image: (N, 3, H, W); values outside [-1, 1] are clamped.

    Returns:
        (N, 3, H, W) float32 in [-1, 1], each value one of the 256 that photos have.
    """
    levels = ((image.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels / 127.5 - 1


EVERYTHING = SamplingInputs(frozenset({MASK, REFERENCE, REFERENCE_MASK}))
"""What baselines are given."""

TRAIN = "train"
"""The split that models learn from."""

NOISE_SEED = 0
"""Seed of the noise of evaluated images: the same face has the same noise in every run."""

System = Callable[[Condition], Generated]
"""Generates images (N, 3, S, S) for a condition: a model's ``generate``, or a baseline."""


class TargetPhotos:
    """Stands for a system whose results are real photos.

    They are those of the target faces. What metrics say of it is what is wrong with the metrics: an evaluator's own
    mistakes, above all. In ``generation``, where no result belongs to a face, they are training photos, each drawn once
    as far as there are so many. That is a model that has learned its training photos by heart: as near to the photos of
    the split as any may hope to come, and a copy in every result.
    """


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is: images generated, images in all, and by whom."""

    system: str
    done: int
    total: int


def evaluate(
    system: System | TargetPhotos,
    packed: PackedFaces,
    metrics: Sequence[Metric],
    *,
    split: str = "test",
    seed: int = TASK_SEED,
    batch: int = 8,
    limit: int | None = None,
    precision: Precision | None = None,
    name: str = "model",
    weights: str = "none",
    step: int = 0,
    inputs: SamplingInputs = EVERYTHING,
    settings: Sequence[str] = (),
    keep: int = 0,
    progress: Callable[[EvaluationProgress], None] | None = None,
) -> EvaluationResult:
    """Measure a system on the faces of a split.

    Every face is generated once for every list of pairs that a metric wants (a task, or the transfer of an attribute),
    from the packed photos as they are, and rounded to 8 bits. The tasks take turns batch by batch; ``batch`` decides
    the speed only. What a condition holds in each task: :class:`facekit.interfaces.Observation`.

    Args:
        system: a model in evaluation mode, called without gradients, or a baseline. It may return a family's own
            subclass of ``Generated``; metrics see it with all its fields, and its image rounded.
        metrics: fresh ones, since they add up what they see; they measure in fp32, on the device of ``precision``.
        precision: where and how the system computes: it must have been placed so. By default fp32 on the CPU.
        inputs: what the system is given; by default all that a test face has.
        settings: runtime options that were set for this evaluation; they are a part of its protocol.
        keep: faces of each list of pairs whose pictures are kept, spread over the split.

    Raises:
        FacekitError: the split does not exist or is empty, there are no metrics, two measurements have one name, or the
            training photos are to stand for generated ones beside themselves.
        RunFailure: the system gave pictures of a wrong shape, or numbers that are not finite.
    """
    if not metrics:
        raise FacekitError("there is nothing to measure", where="metrics", remedy="give the recipe metrics")
    if batch < 1:
        raise ValueError(f"batch is {batch}; it must be at least 1")
    rows = faces_of(packed, split, limit=limit)
    tasks = wanted_pairs(packed, rows, metrics, seed=seed)
    source = _Source(system, packed, precision or Precision(torch.device("cpu")), inputs, seed, split)
    firsts: dict[str, Tensor] = {}
    alike = {pairs.name: len(rows) > 1 for pairs in tasks}
    total, done, seconds = len(rows) * len(tasks), 0, 0.0
    kept: dict[str, list[PaintedFace]] = {pairs.name: [] for pairs in tasks}
    shown = set(np.linspace(0, len(rows) - 1, min(keep, len(rows))).round().astype(int).tolist())
    with torch.no_grad():
        for start, pairs in product(range(0, len(rows), batch), tasks):
            observation, elapsed = source.observe(pairs, slice(start, start + batch))
            seconds += elapsed
            images = observation.generated.image
            first = firsts.setdefault(pairs.name, images[:1].clone())
            alike[pairs.name] = alike[pairs.name] and bool((images == first).all())
            places = [index for index in range(len(images)) if start + index in shown]
            kept[pairs.name] += [painted_face(observation, index, packed.label_map) for index in places]
            for metric in filter(pairs.wanted_by, metrics):
                metric.update(observation)
            done += len(observation.keys)
            if progress is not None:
                progress(EvaluationProgress(name, done, total))
    measurements = _computed(metrics)
    intervals = {entry.name: bootstrap_interval(entry.per_sample) for entry in measurements}
    return EvaluationResult(
        system=name,
        split=split,
        weights=weights,
        step=step,
        fields=common_fields(packed, rows, split=split, seed=seed, settings=settings),
        measurements=measurements,
        intervals={key: interval for key, interval in intervals.items() if interval is not None},
        pairs={pairs.name: tuple(pairs.keys(packed)) for pairs in tasks},
        seconds_per_picture=seconds / total,
        data_fingerprint=packed.fingerprint,
        pictures={task: tuple(faces) for task, faces in kept.items() if faces},
        notes=tuple(_collapsed(len(rows), task) for task, same in alike.items() if same),
    )


def _collapsed(count: int, task: str) -> str:
    return (
        f"all {count} results of {task} are one and the same image, so what is measured of them says nothing: the "
        "generator has collapsed, or does not look at what it is given"
    )


def _computed(metrics: Sequence[Metric]) -> tuple[Measurement, ...]:
    """Return what metrics measured. Raises FacekitError where two measurements have one name."""
    measurements = tuple(measurement for metric in metrics for measurement in metric.compute())
    names = [measurement.name for measurement in measurements]
    if len(set(names)) != len(names):
        twice = next(entry for entry in names if names.count(entry) > 1)
        raise FacekitError(f"two metrics measure {twice!r}", where="metrics", remedy="take one of them out")
    return measurements


def painted_face(observation: Observation, index: int, label_map: LabelMap) -> PaintedFace:
    """Return one result of a batch as pixels, beside what the model read of it."""
    condition, reads = observation.condition, observation.reads
    strip = {}
    if MASK in reads and condition.mask is not None:
        strip["mask"] = label_map.colourise(condition.mask[index].cpu().numpy().astype(np.uint8))
    if condition.reference is not None and reads & {REFERENCE, SOURCE}:
        strip["reference"] = to_pixels(condition.reference.image[index : index + 1])[0]
    if reads:
        strip["photo"] = to_pixels(observation.target[index : index + 1])[0]
    strip["result"] = to_pixels(observation.generated.image[index : index + 1])[0]
    parts = tuple(part for part in PARTS if part in strip)
    pixels = np.concatenate([strip[part] for part in parts], axis=1)
    return PaintedFace(observation.keys[index], observation.reference_keys[index], pixels, parts)


@dataclass(frozen=True)
class _Source:
    """Gives results of a system, batch by batch, as metrics see them."""

    system: System | TargetPhotos
    packed: PackedFaces
    precision: Precision
    inputs: SamplingInputs
    seed: int
    split: str

    def observe(self, pairs: TaskPairs, part: slice) -> tuple[Observation, float]:
        """Return what metrics see of one batch, and the seconds its generation took."""
        packed, device = self.packed, self.precision.device
        faces = fixed_batch(packed, pairs.targets[part]).to(device)
        own = pairs.references is pairs.targets
        references = faces if own else fixed_batch(packed, pairs.references[part]).to(device)
        condition, wanted = _condition(pairs, faces, references)
        noise = noise_for_keys(self.inputs.noise, [f"{pairs.name}/{key}" for key in faces.keys], NOISE_SEED)
        condition = replace(condition, extra={**condition.extra, **noise}).to(device)
        real = isinstance(self.system, TargetPhotos)
        began = time.perf_counter()
        generated = self._real(pairs, part, faces) if real else self._generated(condition)
        if generated.image.device.type == "cuda":
            torch.cuda.synchronize(generated.image.device)
        elapsed = time.perf_counter() - began
        if generated.image.shape != faces.image.shape:
            raise RunFailure(
                f"the system gave pictures of shape {tuple(generated.image.shape)} for photos of shape "
                f"{tuple(faces.image.shape)}"
            )
        if not bool(torch.isfinite(generated.image).all()):
            raise RunFailure(
                f"the system gave numbers that are not finite, for {faces.keys[0]!r} or a face after it",
                remedy="the weights are damaged or the training has diverged: evaluate an earlier checkpoint",
            )
        unconditional = real and pairs.task == "generation"
        observation = Observation(
            task=pairs.task,
            condition=condition,
            generated=replace(generated, image=round_to_8_bits(generated.image.float()).contiguous()),
            target=faces.image,
            keys=faces.keys,
            reference_keys=references.keys,
            attributes=faces.attributes if real else condition.attributes,
            attribute=pairs.attribute,
            wanted=wanted,
            reads=frozenset() if unconditional else self.inputs.needed | self.inputs.optional,
        )
        return observation, elapsed

    def _generated(self, condition: Condition) -> Generated:
        assert not isinstance(self.system, TargetPhotos)
        if self.precision.channels_last:
            # As in training. Metrics get the condition as it was, so that their sums do not depend on the layout.
            condition = map_tensors(
                condition, lambda each: each.contiguous(memory_format=torch.channels_last) if each.dim() == 4 else each
            )
        with self.precision.autocast():
            return self.system(condition)

    def _real(self, pairs: TaskPairs, part: slice, faces: FaceBatch) -> Generated:
        """Return real photos in place of results: see :class:`TargetPhotos`."""
        if pairs.task != "generation":
            return Generated(faces.image)
        if self.split == TRAIN:
            raise FacekitError(
                "training photos stand for generated ones in the baseline real_photos, and here they would be measured "
                "beside themselves",
                remedy="evaluate another split, or leave the baselines out",
            )
        rows = drawn_donors(pairs.targets, self.packed.rows(TRAIN), seed=self.seed, purpose="real photos")
        return Generated(fixed_batch(self.packed, rows[part]).image.to(self.precision.device))


def _condition(pairs: TaskPairs, faces: FaceBatch, references: FaceBatch) -> tuple[Condition, Tensor | None]:
    """Return the condition of a batch, and for ``attribute_transfer`` the value the attribute is to have, (N,)."""
    attributes, wanted = faces.attributes, None
    if pairs.column is not None:
        assert faces.attributes is not None
        assert references.attributes is not None
        wanted = faces.attributes[:, pairs.column]
        attributes = references.attributes.clone()
        attributes[:, pairs.column] = wanted
    condition = Condition(
        mask=faces.mask,
        reference=Reference(references.image, references.mask, references.attributes),
        attributes=attributes,
        source_image=references.image,
        extra=faces.extra,
    )
    return condition, wanted
