"""A run becomes an evaluator: its network is kept, with its own accuracy and what it has learned from."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import facekit
from facekit.interfaces import Condition, FacekitError, did_you_mean

from . import store
from .accuracy import ClassificationAccuracy, MeanIou
from .networks import ClassifierNetwork, SegmenterNetwork
from .options import ATTRIBUTE_CLASSIFIER, ATTRIBUTE_LOGITS, FACE_SEGMENTER, KNOWN, MASK_LOGITS
from .photos import dataset_ids
from .seen import thumbnails

FacePipeline = Any
"""What ``facekit.load`` returns, whose room is not open to plugins."""

LEARNED, TESTED = "train", "test"
"""The splits that a run learned from, and that its accuracy is measured on."""


def add_run(run: Path) -> tuple[store.KeptEvaluator, bool]:
    """Keep the network of a run as an evaluator; one that was added before is returned as it is.

    Args:
        run: the folder of a run whose recipe has a network ``face_segmenter`` or ``attribute_classifier``.

    Returns:
        the evaluator, and whether it was added now.

    Raises:
        FacekitError: the run has no such network or no checkpoint, its data is not there or not what it was trained on,
            or no attribute can be tested.
    """
    pipeline = facekit.load(run)
    kind, network = _network(pipeline)
    recipe = pipeline.recipe
    given = [network.settings.weights for network in recipe.model.networks.values() if network.settings.weights]
    if given := [*given, *(part.weights for part in recipe.train.initialise)]:
        raise FacekitError(
            f"this run started from the weights of {given[0]}, and nobody knows which photos those have learned from",
            where=str(pipeline.run),
            remedy="train it from the start: take `weights` and `train.initialise` out of the recipe",
        )
    learned, shown, known = [], [], []
    for batch in pipeline.faces(LEARNED):
        learned.append(thumbnails(batch.image))
        if batch.attributes is not None:
            shown.append(batch.attributes)
            known.append(batch.extra.get(KNOWN, torch.ones_like(batch.attributes)) > 0)
    photos = torch.cat(learned)
    content = hashlib.sha256(photos.numpy().tobytes()).hexdigest()
    evaluator_id = store.identity(kind=kind, weights=pipeline.weights_sha256, learned_from=content)
    if (kept := store.kept_evaluator(kind, evaluator_id)) is not None:
        return kept, False
    state = dict(network.state_dict())
    attributes: tuple[str, ...] = ()
    if kind == store.SEGMENTER:
        measured, tested = MeanIou(pipeline.label_map.names), 0
        for batch in pipeline.faces(TESTED):
            read = pipeline.networks.sample(Condition(source_image=batch.image))
            measured.see(batch.require_mask(), read.maps[MASK_LOGITS])
            tested += len(batch)
        accuracy = measured.shares()
    else:
        accuracy, tested, columns = _classifier_accuracy(pipeline, torch.cat(shown), torch.cat(known))
        attributes = tuple(pipeline.attribute_names[column] for column in columns)
        for name in ("classify.weight", "classify.bias"):
            state[name] = state[name][columns]
    dataset = recipe.dataset
    evaluator = store.KeptEvaluator(
        kind=kind,
        id=evaluator_id,
        label_map=pipeline.label_map,
        attributes=attributes,
        settings={
            "size": pipeline.size,
            "recipe": recipe.name,
            "step": pipeline.step,
            "train": recipe.train.model_dump(mode="json"),
        },
        data={
            "dataset": ", ".join(dataset_ids(dataset.options, dataset.component.spec)),
            "learned_from": len(photos),
            "tested_on": tested,
        },
        accuracy=accuracy,
        made=time.time(),
    )
    return store.save(evaluator, state, photos), True


def _network(pipeline: FacePipeline) -> tuple[str, nn.Module]:
    """Return the kind of evaluator that a run is, and its network."""
    wanted = {
        FACE_SEGMENTER: (store.SEGMENTER, SegmenterNetwork),
        ATTRIBUTE_CLASSIFIER: (store.ATTRIBUTES, ClassifierNetwork),
    }
    for name, (kind, form) in wanted.items():
        if name in pipeline.networks and isinstance(network := pipeline.networks.module(name), form):
            return kind, network
    near = [hint for name in pipeline.networks if (hint := did_you_mean(name, wanted))]
    raise FacekitError(
        f"this run has no network {' or '.join(wanted)}, so it is no evaluator",
        where=str(pipeline.run),
        remedy=next(iter(near), "train one: `facekit run evaluators/segmenter`, `facekit run evaluators/attributes`"),
    )


def _classifier_accuracy(
    pipeline: FacePipeline, learned: Tensor, known: Tensor
) -> tuple[dict[str, float], int, list[int]]:
    """Return the figures of a run's classifier, the photos they rest on, and the attributes that can be tested.

    Attributes in which all photos of a side agree can be neither learned nor tested.
    """
    truth, logits = [], []
    for batch in pipeline.faces(TESTED):
        assert batch.attributes is not None  # the loss needs them
        truth.append(batch.attributes)
        logits.append(pipeline.networks.sample(Condition(source_image=batch.image)).maps[ATTRIBUTE_LOGITS].cpu())
    shown, said = torch.cat(truth), torch.cat(logits)
    both = ((learned > 0) & known).any(0) & ((learned <= 0) & known).any(0) & (shown > 0).any(0) & (shown <= 0).any(0)
    columns: list[int] = both.nonzero().flatten().tolist()
    if not columns:
        raise FacekitError(
            "there is no attribute that photos have and lack, both among those to learn from and those to test on",
            where=str(pipeline.run),
            remedy="give more photos, or other attributes (`data.attributes`)",
        )
    measured = ClassificationAccuracy([pipeline.attribute_names[column] for column in columns])
    measured.see(shown[:, columns], said[:, columns])
    return measured.shares(), len(shown), columns
