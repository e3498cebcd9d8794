"""Training an attribute classifier."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import FaceDataset, FacekitError

from . import store
from .classifier_network import ClassifierNetwork, empty_classifier, logits_both_ways
from .faces import Portraits, read_portraits, split_rows
from .figures import AttributeFigures, attribute_figures
from .learning import Learning, Report
from .options import ClassifierSettings
from .seen import LearnedFrom, thumbnails
from .variations import varied_photos

MOST_WEIGHT = 12.0
"""The weight of a rare answer beside a common one ends here."""

_EVALUATED_AT_ONCE = 16


def train_classifier(
    datasets: Mapping[str, FaceDataset],
    settings: ClassifierSettings,
    *,
    say: Callable[[str], None],
    report: Callable[[Report], None],
    again: bool = False,
) -> tuple[store.KeptEvaluator, bool]:
    """Train an attribute classifier and keep it; one that was made of the same before is returned as it is.

    Stopped (Ctrl-C, a kill), it goes on after the last whole epoch when it is called again with the same.

    Args:
        datasets: by component id. It learns from all of them; the held-out photos of the first give its accuracy.
        settings: how to train.
        say: told in sentences what happens.
        report: told after each epoch.
        again: train even if it is there.

    Returns:
        the evaluator, and whether it was trained now.

    Raises:
        FacekitError: a dataset has no attributes or no photos to learn from, an attribute has but one value, or a file
            cannot be read.
    """
    (_, first), *_ = datasets.items()
    names = _known(first, settings.attributes)
    parts = []
    for position, (name, dataset) in enumerate(datasets.items()):
        rows, tested = split_rows(dataset, settings.splits, held_out=settings.held_out)
        say(f"reading {len(rows):,} photos of {name} to learn from, at {settings.size} pixels")
        parts.append(read_portraits(dataset, rows, settings.size, names))
        if position == 0:
            say(f"reading {len(tested):,} to test on")
            held_out = read_portraits(dataset, tested, settings.size, names)
    learned = Portraits.joined(parts)
    learned = _without_measured(learned, datasets, settings, say)
    names, learned, held_out = _decidable(names, learned, held_out, asked=bool(settings.attributes), say=say)
    content = [learned.content(), held_out.content()]
    evaluator_id = store.identity(
        version=1,
        kind=store.ATTRIBUTES,
        settings=settings.model_dump(mode="json"),
        data=content,
        attributes=list(names),
        first_weights=empty_classifier(len(names)).encoder.weights_sha256,
    )
    if not again and (kept := store.kept_evaluator(store.ATTRIBUTES, evaluator_id)) is not None:
        return kept, False
    torch.manual_seed(settings.seed)
    network = empty_classifier(len(names))
    learning = Learning(network, network.encoder, settings, count=len(learned))
    weights = balancing_weights(learned.attributes)

    def loss_of(rows: Tensor, random: torch.Generator) -> Tensor:
        photos = varied_photos(learned.photos[rows], random)
        logits = network(photos.contiguous(memory_format=torch.channels_last))
        return attribute_loss(logits, learned.attributes[rows], weights)

    file = store.unfinished(store.ATTRIBUTES, evaluator_id)
    learning.learn(loss_of, file, again=again, say=say, report=report)
    figures = measure(network, held_out)
    kept = store.save(
        store.ATTRIBUTES,
        evaluator_id,
        network,
        label_map=first.label_map,
        attributes=names,
        settings=settings.model_dump(mode="json"),
        data={
            "dataset": ", ".join(datasets),
            "content": content,
            "learned_from": len(learned),
            "tested_on": len(held_out),
        },
        accuracy=_named(figures, names),
        made=time.time(),
        learned_from=thumbnails(learned.photos),
    )
    file.unlink(missing_ok=True)
    return kept, True


@torch.no_grad()
def measure(network: ClassifierNetwork, portraits: Portraits) -> tuple[AttributeFigures, ...]:
    """Return how well a network does on photos and their mirror images, attribute by attribute."""
    network.eval()
    logits = torch.cat(
        [logits_both_ways(network, photos.float() / 127.5 - 1) for photos in portraits.photos.split(_EVALUATED_AT_ONCE)]
    )
    truth = portraits.attributes
    return tuple(attribute_figures(truth[:, column] > 0, logits[:, column] > 0) for column in range(truth.shape[1]))


def balancing_weights(attributes: Tensor) -> Tensor:
    """Return weights with which both answers to each attribute count the same in sum.

    Args:
        attributes: (N, A) of 0 and 1; NaN where it is not known.

    Returns:
        (2, A): of the answers no and yes; none is more than :data:`MOST_WEIGHT` times the other.
    """
    share = attributes.nanmean(0).clamp(1 / (1 + MOST_WEIGHT), MOST_WEIGHT / (1 + MOST_WEIGHT))
    return torch.stack([0.5 / (1 - share), 0.5 / share])


def attribute_loss(logits: Tensor, attributes: Tensor, weights: Tensor) -> Tensor:
    """Return the binary cross-entropy, balanced between the answers, over the attributes that are known.

    Args:
        logits: (N, A) float32.
        attributes: (N, A) of 0 and 1; NaN where it is not known.
        weights: of :func:`balancing_weights`.

    Returns:
        a scalar.
    """
    known = ~attributes.isnan()
    truth = attributes.nan_to_num()
    weight = torch.where(truth > 0, weights[1], weights[0]) * known
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="sum")
    return entropy / known.sum().clamp_min(1)


def _known(dataset: FaceDataset, wanted: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dataset.attribute_names)
    if not names:
        raise FacekitError(
            "the dataset has no attributes", remedy="put the attribute file beside the photos, or take another dataset"
        )
    missing = [name for name in wanted if name not in names]
    if missing:
        raise FacekitError(
            f"the dataset has no attribute {missing[0]!r}", where="attributes", remedy=f"it has {', '.join(names)}"
        )
    return wanted or names


def _without_measured(
    learned: Portraits, datasets: Mapping[str, FaceDataset], settings: ClassifierSettings, say: Callable[[str], None]
) -> Portraits:
    """Leave out photos that another dataset has on the other side: CelebA-HQ, say, is made of photos of CelebA."""
    if len(datasets) == 1:
        return learned
    shown = torch.zeros(len(learned), dtype=torch.bool)
    for dataset in datasets.values():
        splits = dataset.splits()
        rows = [row for name in ("validation", "test") for row in splits.get(name, ())]
        if rows:
            measured = read_portraits(dataset, rows, settings.size, dataset.attribute_names)
            shown |= LearnedFrom(thumbnails(measured.photos), "").among(learned.photos)
    if bool(shown.any()):
        say(f"left out {int(shown.sum())} photos that the validation or test photos of another dataset show")
    return Portraits(learned.photos[~shown], learned.attributes[~shown])


def _decidable(
    names: tuple[str, ...], learned: Portraits, held_out: Portraits, *, asked: bool, say: Callable[[str], None]
) -> tuple[tuple[str, ...], Portraits, Portraits]:
    """Leave out attributes that all photos have, or none: they can be neither learned nor tested."""

    def varies(values: Tensor) -> Tensor:
        return ((values == 0).any(0) & (values == 1).any(0)).cpu()

    both = varies(learned.attributes) & varies(held_out.attributes)
    without = [name for name, found in zip(names, both.tolist(), strict=True) if not found]
    if without and asked:
        raise FacekitError(
            f"all photos to learn from, or all to test on, agree in {', '.join(without)}",
            where="attributes",
            remedy="leave it out, or give more photos",
        )
    if without:
        say(f"left out, since all photos of a side agree in them: {', '.join(without)}")
    columns = both.nonzero().flatten()
    if not len(columns):
        raise FacekitError("there is no attribute that both sides have with and without", where="attributes")
    kept: Sequence[int] = columns.tolist()
    return (
        tuple(names[column] for column in kept),
        Portraits(learned.photos, learned.attributes[:, columns]),
        Portraits(held_out.photos, held_out.attributes[:, columns]),
    )


def _named(figures: Sequence[AttributeFigures], names: Sequence[str]) -> dict[str, float]:
    each = {}
    for name, found in zip(names, figures, strict=True):
        each[f"accuracy/{name}"] = found.accuracy
        each[f"balanced_accuracy/{name}"] = found.balanced_accuracy
    return {
        "accuracy": float(np.mean([found.accuracy for found in figures])),
        "balanced_accuracy": float(np.mean([found.balanced_accuracy for found in figures])),
        **each,
    }
