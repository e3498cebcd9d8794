"""The runner: paints every face of a split for every task, and shows the results to the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from facekit.data import PackedFaces, fixed_batch
from facekit.engine.samples import to_pixels
from facekit.evaluation.bootstrap import bootstrap_interval
from facekit.evaluation.protocol import common_fields
from facekit.evaluation.quantise import round_to_8_bits
from facekit.evaluation.results import EvaluationResult, PaintedFace
from facekit.evaluation.tasks import TASK_SEED, TaskPairs, faces_of, wanted_pairs
from facekit.interfaces import (
    Condition,
    FaceBatch,
    FacekitError,
    Generated,
    LabelMap,
    Metric,
    Observation,
    Reference,
    RunFailure,
)
from facekit.sampling.inputs import MASK, REFERENCE, REFERENCE_MASK, SamplingInputs
from facekit.sampling.noise import noise_for_keys

EVERYTHING = SamplingInputs(frozenset({MASK, REFERENCE, REFERENCE_MASK}))
"""What baselines are given."""

NOISE_SEED = 0
"""Seed of the noise of evaluated images: the same face has the same noise in every run."""

Painter = Callable[[Condition], Generated]
"""Paints pictures (N, 3, S, S) for a condition: a model's ``generate``, or a baseline."""


class TargetPhotos:
    """Stands for a painter whose results are the real photos that belong to the target masks.

    What metrics say of it is what is wrong with the metrics: a judge's own mistakes, above all.
    """


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is: pictures painted, pictures in all, and by whom."""

    painter: str
    done: int
    total: int


def evaluate(
    painter: Painter | TargetPhotos,
    packed: PackedFaces,
    metrics: Sequence[Metric],
    *,
    split: str = "test",
    seed: int = TASK_SEED,
    batch: int = 8,
    limit: int | None = None,
    device: torch.device | str = "cpu",
    name: str = "model",
    weights: str = "none",
    step: int = 0,
    inputs: SamplingInputs = EVERYTHING,
    keep: int = 0,
    progress: Callable[[EvaluationProgress], None] | None = None,
) -> EvaluationResult:
    """Measure a painter on the faces of a split.

    Every face is painted once for every list of pairs that a metric wants (a task, or the transfer of an attribute),
    from the packed photos as they are, without augmentation. Results are rounded to 8 bits. The tasks take turns batch
    by batch. ``batch`` decides the speed only: metrics see the same pictures, but for last-bit differences of a
    network's own arithmetic. What a condition holds in each task: :class:`facekit.interfaces.Observation`.

    Args:
        painter: what paints. A model must be in evaluation mode; it is called without gradients.
        packed: the data.
        metrics: what is measured; fresh ones, since they add up what they see.
        split: whose faces.
        seed: of the pairing of masks and looks.
        batch: faces painted at a time.
        limit: evaluate only the first faces of the split.
        device: where conditions are put for the painter, and results measured.
        name: what to call the painter.
        weights: which weights it has, for the record.
        step: updates behind them, for the record.
        inputs: what the painter is given; by default all that a test face has.
        keep: faces of each list of pairs whose pictures are kept, spread over the split.
        progress: told after every batch.

    Returns:
        measurements, their intervals and their protocol.

    Raises:
        FacekitError: the split does not exist or is empty, there are no metrics, or two measurements have one name.
        RunFailure: the painter gave pictures of a wrong shape, or numbers that are not finite.
    """
    if not metrics:
        raise FacekitError("there is nothing to measure", where="metrics", remedy="give the recipe metrics")
    if batch < 1:
        raise ValueError(f"batch is {batch}; it must be at least 1")
    rows = faces_of(packed, split, limit=limit)
    tasks = wanted_pairs(packed, rows, metrics, seed=seed)
    total, done, seconds = len(rows) * len(tasks), 0, 0.0
    kept: dict[str, list[PaintedFace]] = {pairs.name: [] for pairs in tasks}
    shown = {pairs.name: _spread(len(pairs), keep) for pairs in tasks}
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            for pairs in tasks:
                part = slice(start, start + batch)
                observation, elapsed = _paint(painter, packed, pairs, part, device, inputs)
                seconds += elapsed
                places = [index for index in range(len(observation.keys)) if start + index in shown[pairs.name]]
                kept[pairs.name] += [painted_face(observation, index, packed.label_map) for index in places]
                for metric in metrics:
                    if pairs.wanted_by(metric):
                        metric.update(observation)
                done += len(observation.keys)
                if progress is not None:
                    progress(EvaluationProgress(name, done, total))
    measurements = tuple(measurement for metric in metrics for measurement in metric.compute())
    names = [measurement.name for measurement in measurements]
    if len(set(names)) != len(names):
        twice = next(entry for entry in names if names.count(entry) > 1)
        raise FacekitError(f"two metrics measure {twice!r}", where="metrics", remedy="take one of them out")
    intervals = {entry.name: bootstrap_interval(entry.per_sample) for entry in measurements}
    return EvaluationResult(
        painter=name,
        split=split,
        weights=weights,
        step=step,
        fields=common_fields(packed, rows, split=split, seed=seed),
        measurements=measurements,
        intervals={key: interval for key, interval in intervals.items() if interval is not None},
        pairs={pairs.name: tuple(pairs.keys(packed)) for pairs in tasks},
        seconds_per_picture=seconds / total,
        data_fingerprint=packed.fingerprint,
        pictures={task: tuple(faces) for task, faces in kept.items() if faces},
    )


def _spread(count: int, wanted: int) -> set[int]:
    """Return ``wanted`` positions spread over ``count``, or all of them."""
    return set(np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist())


def painted_face(observation: Observation, index: int, label_map: LabelMap) -> PaintedFace:
    """Return one result of a batch with what it was painted from, as pixels; a place without a reference is black."""
    wanted = observation.condition.mask
    side = observation.target.shape[-1]
    mask = np.zeros((side, side, 3), np.uint8)
    if wanted is not None:
        mask = label_map.colourise(wanted[index].cpu().numpy().astype(np.uint8))
    reference = observation.condition.reference
    images = (
        torch.full_like(observation.target, -1.0) if reference is None else reference.image,
        observation.target,
        observation.generated.image,
    )
    strip = np.concatenate([mask, *(to_pixels(image[index : index + 1])[0] for image in images)], axis=1)
    return PaintedFace(observation.keys[index], observation.reference_keys[index], strip)


def _paint(
    painter: Painter | TargetPhotos,
    packed: PackedFaces,
    pairs: TaskPairs,
    part: slice,
    device: torch.device | str,
    inputs: SamplingInputs,
) -> tuple[Observation, float]:
    """Return what metrics see of one batch, and the seconds its painting took."""
    faces = fixed_batch(packed, pairs.targets[part]).to(device)
    references = faces if pairs.task == "reconstruction" else fixed_batch(packed, pairs.references[part]).to(device)
    condition, wanted = _condition(pairs, faces, references)
    noise = noise_for_keys(inputs.noise, [f"{pairs.name}/{key}" for key in faces.keys], NOISE_SEED)
    condition = replace(condition, extra={**condition.extra, **noise}).to(device)
    began = time.perf_counter()
    generated = Generated(faces.image) if isinstance(painter, TargetPhotos) else painter(condition)
    if generated.image.device.type == "cuda":
        torch.cuda.synchronize(generated.image.device)
    elapsed = time.perf_counter() - began
    if generated.image.shape != faces.image.shape:
        raise RunFailure(
            f"the painter gave pictures of shape {tuple(generated.image.shape)} for photos of shape "
            f"{tuple(faces.image.shape)}"
        )
    if not bool(torch.isfinite(generated.image).all()):
        raise RunFailure(
            f"the painter gave numbers that are not finite, for {faces.keys[0]!r} or a face after it",
            remedy="the weights are damaged or the training has diverged: evaluate an earlier checkpoint",
        )
    observation = Observation(
        task=pairs.task,
        condition=condition,
        generated=replace(generated, image=round_to_8_bits(generated.image)),
        target=faces.image,
        keys=faces.keys,
        reference_keys=references.keys,
        attributes=faces.attributes if isinstance(painter, TargetPhotos) else condition.attributes,
        attribute=pairs.attribute,
        wanted=wanted,
        reads=inputs.needed | inputs.optional,
    )
    return observation, elapsed


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
    )
    return condition, wanted
