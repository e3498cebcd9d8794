"""Measuring runs: the metrics of a recipe on a trained model, beside the baselines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from facekit.data.parallel import ProgressCallback
from facekit.data.store import PackedFaces
from facekit.evaluation.baselines import BASELINES, left_out
from facekit.evaluation.fit import check_data, check_tasks, possible_tasks, shown_images
from facekit.evaluation.photos import PhotoProgress, photo_source
from facekit.evaluation.results import EvaluationResult
from facekit.evaluation.runner import EvaluationProgress, evaluate
from facekit.evaluation.store import BASELINE_PREFIX, PICTURES, Asked, write_evaluation
from facekit.evaluation.tasks import TASK_SEED
from facekit.interfaces import BuildContext, FaceDataset, FacekitError, Metric, PhotoSource
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.inputs import SamplingInputs, inputs_of
from facekit.training.lockfile import check_data as check_data_of_run
from facekit.training.networks import FaceModel, LoadedModel, Weights, load_model
from facekit.training.open_data import open_data, open_dataset
from facekit.training.precision import Precision, choose_device, choose_precision
from facekit.training.run.event_log import Journal, Observer
from facekit.training.run.folder import RunFolder
from facekit.training.validation import Evaluate, evaluated

logger = logging.getLogger("facekit.evaluation")

MODEL = "model"
"""What the model is called beside its baselines."""


def build_metrics(
    recipe: ResolvedRecipe,
    packed: PackedFaces,
    *,
    inputs: SamplingInputs | None = None,
    split: str = "test",
    limit: int | None = None,
    progress: PhotoProgress | None = None,
) -> list[Metric]:
    """Build the metrics of a recipe, fresh ones.

    Args:
        inputs: what the model that is measured reads; by default the recipe's own model.
        progress: told how many real photos were read by metrics that compare with them.

    Raises:
        FacekitError: the recipe names none, one cannot be built (a region that the label map does not have), asks for
            a task that the model cannot do, or looks at masks or attributes that the data does not have.
    """
    counts = {name: len(rows) for name, rows in packed.splits.items()}
    photos = photo_source(lambda: packed, counts, evaluated=split, limit=limit, progress=progress)
    return _build(recipe, packed, photos, inputs_of(recipe) if inputs is None else inputs)


def _build(
    recipe: ResolvedRecipe, data: PackedFaces | FaceDataset, photos: PhotoSource, inputs: SamplingInputs
) -> list[Metric]:
    if not recipe.metrics:
        raise FacekitError(
            "this recipe names no metrics", where="metrics", remedy="add some: see `facekit components ls metric`"
        )
    context = BuildContext(
        label_map=data.label_map,
        attribute_names=tuple(data.attribute_names),
        size=recipe.data.size,
        dimensions=recipe.dimensions,
        dataset=recipe.dataset.component.spec.id,
        photos=photos,
        tasks=possible_tasks(inputs),
    )
    metrics: list[Metric] = []
    for choice in recipe.metrics:
        metric: Metric = choice.build(context)
        check_tasks(choice, metric, inputs)
        check_data(
            choice,
            metric,
            size=recipe.data.size,
            classes=len(data.label_map.classes),
            attribute_names=data.attribute_names,
        )
        metrics.append(metric)
    return metrics


def check_metrics(recipe: ResolvedRecipe, *, registry: Registry, needs_data: bool = True) -> None:
    """Build the metrics of a recipe once, so that a mistake in them is told before training and not after it.

    Args:
        recipe: the recipe; nothing happens when it names no metrics.
        needs_data: the pictures must be there; else nothing is checked where they are not.

    Raises:
        FacekitError: as :func:`build_metrics`, or the dataset cannot be opened.
    """
    if not recipe.metrics:
        return
    try:
        data = open_dataset(recipe, registry)
    except FacekitError:
        if needs_data:
            raise
        return
    counts = {name: len(indices) for name, indices in data.splits().items()}
    # The splits that will be measured: too few photos in one of them must be told now as well.
    for split in ("validation", "test") if recipe.train.evaluate_every else ("test",):
        photos = photo_source(lambda: open_data(recipe, registry), counts, evaluated=split)
        _build(recipe, data, photos, inputs_of(recipe, registry.label_maps))


def _precision(recipe: ResolvedRecipe, device: Literal["auto", "cpu", "cuda"]) -> Precision:
    """Return how a model of a recipe computes on a device: as in training there."""
    return choose_precision(recipe.train.model_copy(update={"device": device, "cuda_graphs": False}))


def validator(
    recipe: ResolvedRecipe, *, registry: Registry, batch: int = 8, progress: ProgressCallback | None = None
) -> Evaluate:
    """Return what :func:`facekit.training.loop.train` calls to measure a model on the validation split.

    The data is opened at the first call.
    """
    opened: list[PackedFaces] = []
    inputs = inputs_of(recipe, registry.label_maps)

    def measure(model: FaceModel, step: int) -> EvaluationResult:
        if not opened:
            opened.append(open_data(recipe, registry, progress))
        device = next(model.parameters()).device
        # The engine has placed the model by the same settings; of several devices it may be on any.
        precision = replace(_precision(recipe, "cpu" if device.type == "cpu" else "cuda"), device=device)
        metrics = build_metrics(recipe, opened[0], inputs=inputs, split="validation")
        return evaluate(
            model.generate,
            opened[0],
            metrics,
            split="validation",
            batch=batch,
            precision=precision,
            step=step,
            inputs=inputs,
        )

    return measure


def evaluate_run(
    run: Path,
    *,
    registry: Registry,
    split: str = "test",
    weights: Weights = "ema",
    step: int | None = None,
    baselines: bool = False,
    seed: int = TASK_SEED,
    batch: int = 8,
    limit: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    keep: int = PICTURES,
    metrics_of: ResolvedRecipe | None = None,
    settings: Sequence[str] = (),
    record: bool = True,
    observer: Observer | None = None,
    progress: Callable[[EvaluationProgress], None] | None = None,
    data_progress: ProgressCallback | None = None,
) -> tuple[EvaluationResult, ...]:
    """Measure a run with the metrics of its recipe, and write what was found into the run folder.

    The model computes as in training: in the run's number format and memory layout. Baselines without results for the
    metrics are left out, and the model's ``notes`` say so. The numbers go into ``metrics.jsonl``, the value of every
    photo and pictures of some into ``evaluations/`` (:mod:`facekit.evaluation.store`).

    Args:
        weights: ``ema`` or ``live``; a run without an average has live weights only, and the result says so.
        step: a certain checkpoint; by default the newest sound one.
        metrics_of: measure with the metrics of this recipe in place of the run's own.
        settings: runtime options in place of the run's own, ``sampler.steps=50``; they are a part of the protocol.

    Returns:
        the model's result, then one a baseline.

    Raises:
        FacekitError: the folder is no run, has no sound checkpoint or no metrics; the data is not what it learned from.
    """
    loaded = load_model(run, registry=registry, weights=weights, step=step, settings=settings)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    precision = _precision(loaded.recipe, device)
    inputs = inputs_of(loaded.recipe, registry.label_maps)
    packed = open_data(loaded.recipe, registry, data_progress)
    check_data_of_run(RunFolder(run), packed.fingerprint)
    measured = loaded.recipe if metrics_of is None else metrics_of
    asked = Asked.of(measured, split=split, seed=seed, limit=limit, settings=settings)

    def tell(of: str, done: int, total: int) -> None:
        if progress is not None:
            progress(EvaluationProgress(f"real photos of {of}", done, total))

    how: dict[str, Any] = {"split": split, "seed": seed, "batch": batch, "limit": limit, "settings": settings}
    how |= {"keep": keep, "progress": progress}
    results: list[EvaluationResult] = []
    missing: list[str] = []
    journal = Journal(RunFolder(run), registry=registry, observer=observer)
    for name in (MODEL, *(BASELINES if baselines else ())):
        metrics = build_metrics(measured, packed, inputs=inputs, split=split, limit=limit, progress=tell)
        if name == MODEL:
            result = _measure_model(loaded, packed, metrics, precision=precision, inputs=inputs, **how)
        elif found := _measure_baseline(name, measured, packed, metrics, device=precision.device, **how):
            result = found
        else:
            missing.append(name)
            continue
        results.append(result)
        if record:
            # Baselines stand at the step of the model they were measured beside.
            folder = RunFolder(run).evaluations
            write_evaluation(result, asked.file(folder, step=loaded.step, weights=result.weights))
            journal.evaluated(evaluated(result, run=run, step=loaded.step, split=result.split, weights=result.weights))
            for note in result.notes:
                journal.warned(loaded.step, note)
    if missing:
        results[0] = replace(results[0], notes=(*results[0].notes, left_out(missing, packed)))
    return tuple(results)


def evaluate_baseline(
    name: str,
    recipe: ResolvedRecipe,
    *,
    registry: Registry,
    asked: Asked,
    batch: int = 8,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    keep: int = PICTURES,
    progress: Callable[[EvaluationProgress], None] | None = None,
) -> EvaluationResult:
    """Measure a baseline that needs no training, with the data and the metrics of a recipe.

    Args:
        name: one of :data:`facekit.evaluation.BASELINE_NAMES`.

    Raises:
        FacekitError: the data is not there, a metric cannot be built, or none measures what the baseline has.
    """
    packed = open_data(recipe, registry)
    inputs = inputs_of(recipe, registry.label_maps)
    metrics = build_metrics(recipe, packed, inputs=inputs, split=asked.split, limit=asked.limit)
    how: dict[str, Any] = {"split": asked.split, "seed": asked.seed, "limit": asked.limit, "batch": batch}
    how |= {"device": choose_device(device), "keep": keep, "progress": progress}
    result = _measure_baseline(name, recipe, packed, metrics, **how)
    if result is None:
        raise FacekitError(left_out([name], packed), where="baseline", remedy="take this row out")
    return result


def _measure_model(
    loaded: LoadedModel,
    packed: PackedFaces,
    metrics: Sequence[Metric],
    *,
    precision: Precision,
    inputs: SamplingInputs,
    **how: Any,
) -> EvaluationResult:
    """Return what is measured of a run's networks."""
    return evaluate(
        precision.place(loaded.model).generate,
        packed,
        metrics,
        precision=precision,
        weights=loaded.weights,
        step=loaded.step,
        inputs=inputs,
        **how,
    )


def _measure_baseline(
    name: str,
    recipe: ResolvedRecipe,
    packed: PackedFaces,
    metrics: Sequence[Metric],
    *,
    device: torch.device,
    **how: Any,
) -> EvaluationResult | None:
    """Return what is measured of a baseline; None where it has results for no metric."""
    fitting = BASELINES[name].measured_by(shown_images(recipe, metrics), packed, split=how["split"])
    if not fitting:
        return None
    system, weights = BASELINES[name].make(packed), f"{BASELINE_PREFIX}{name}"
    return evaluate(system, packed, fitting, precision=Precision(device), name=name, weights=weights, **how)
