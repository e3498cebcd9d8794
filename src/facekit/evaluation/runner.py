"""The runner: paints every face of a split for every task, and shows the results to the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from facekit.data import PackedFaces, fixed_batch
from facekit.evaluation.bootstrap import bootstrap_interval
from facekit.evaluation.protocol import common_fields
from facekit.evaluation.quantise import round_to_8_bits
from facekit.evaluation.results import EvaluationResult
from facekit.evaluation.tasks import TASK_SEED, TaskPairs, faces_of, task_pairs
from facekit.interfaces import Condition, FacekitError, Generated, Metric, Observation, RunFailure, Task

Painter = Callable[[Condition], Generated]
"""Paints pictures (N, 3, S, S) for a condition: a model's ``generate``, or a baseline."""

TASKS: tuple[Task, ...] = ("reconstruction", "style_copy")


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is: pictures painted, pictures in all, and by whom."""

    painter: str
    done: int
    total: int


def evaluate(
    painter: Painter,
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
    progress: Callable[[EvaluationProgress], None] | None = None,
) -> EvaluationResult:
    """Measure a painter on the faces of a split.

    Every face is painted once for every task that a metric wants, from the packed photos as they are, without
    augmentation. Results are rounded to 8 bits. The tasks take turns batch by batch. ``batch`` decides the speed only:
    metrics see the same pictures, but for last-bit differences of a network's own arithmetic.

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
    wanted = [task for task in TASKS if any(task in metric.tasks for metric in metrics)]
    tasks = [task_pairs(rows, task, seed=seed) for task in wanted]
    total, done, seconds = len(rows) * len(tasks), 0, 0.0
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            for pairs in tasks:
                part = slice(start, start + batch)
                observation, elapsed = _paint(painter, packed, pairs, part, device)
                seconds += elapsed
                for metric in metrics:
                    if pairs.task in metric.tasks:
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
        pairs={pairs.task: tuple(pairs.keys(packed)) for pairs in tasks},
        seconds_per_picture=seconds / total,
        data_fingerprint=packed.fingerprint,
    )


def _paint(
    painter: Painter, packed: PackedFaces, pairs: TaskPairs, part: slice, device: torch.device | str
) -> tuple[Observation, float]:
    """Return what metrics see of one batch, and the seconds its painting took."""
    faces = fixed_batch(packed, pairs.targets[part]).to(device)
    references = faces if pairs.task == "reconstruction" else fixed_batch(packed, pairs.references[part]).to(device)
    condition = faces.condition.with_reference(references.image, references.mask)
    began = time.perf_counter()
    generated = painter(condition)
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
    )
    return observation, elapsed
