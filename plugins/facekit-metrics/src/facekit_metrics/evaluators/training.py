"""Training a segmenter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import FaceDataset

from . import store
from .faces import Faces, read_faces, split_rows
from .figures import SegmentationFigures, confusion, figures_of
from .learning import Learning, Report
from .network import SegmenterNetwork, both_ways
from .options import SegmenterSettings
from .seen import thumbnails
from .segmenter import empty_network
from .variations import varied

DICE_WEIGHT = 0.5
"""Weight of the overlap loss, which rare classes live by, beside the cross-entropy."""

_EVALUATED_AT_ONCE = 16


def train_segmenter(
    dataset: FaceDataset,
    settings: SegmenterSettings,
    *,
    dataset_name: str,
    say: Callable[[str], None],
    report: Callable[[Report], None],
    again: bool = False,
) -> tuple[store.KeptEvaluator, bool]:
    """Train a segmenter on a dataset's photos and keep it; one that was made of the same before is returned as it is.

    Stopped (Ctrl-C, a kill), it goes on after the last whole epoch when it is called again with the same.

    Args:
        dataset: photos with masks.
        settings: how to train.
        dataset_name: the dataset component's id, for the record.
        say: told in sentences what happens.
        report: told after each epoch.
        again: train even if it is there.

    Returns:
        the evaluator, and whether it was trained now.

    Raises:
        FacekitError: the dataset has no photos to learn from, or a file cannot be read.
    """
    rows, tested = split_rows(dataset, settings.splits, held_out=settings.held_out)
    network = empty_network(len(dataset.label_map))
    say(f"reading {len(rows):,} photos to learn from and {len(tested):,} to test on, at {settings.size} pixels")
    learned, held_out = read_faces(dataset, rows, settings.size), read_faces(dataset, tested, settings.size)
    content = [learned.content(), held_out.content()]
    evaluator_id = store.identity(
        version=2,
        kind="segmenter",
        settings=settings.model_dump(mode="json"),
        data=content,
        label_map=[dataset.label_map.name, *dataset.label_map.names],
        first_weights=network.encoder.weights_sha256,
    )
    if not again and (kept := store.kept_evaluator(store.SEGMENTER, evaluator_id)) is not None:
        return kept, False
    torch.manual_seed(settings.seed)
    network = empty_network(len(dataset.label_map))
    mirror = torch.from_numpy(dataset.label_map.mirror_table())
    learning = Learning(network, network.encoder, settings, count=len(learned))

    def loss_of(rows: Tensor, random: torch.Generator) -> Tensor:
        photos, masks = varied(learned.photos[rows], learned.masks[rows], mirror, random)
        # In fp32: on processors the depthwise convolutions of this encoder take twice as long in bf16.
        logits = network(photos.contiguous(memory_format=torch.channels_last))
        across, down = torch.randint(2, (2,), generator=random).tolist()
        # Logits have half the side: of the four pixels under each one is learned from, a quarter of the work.
        return segmentation_loss(logits, masks[:, down::2, across::2])

    file = store.unfinished(store.SEGMENTER, evaluator_id)
    learning.learn(loss_of, file, again=again, say=say, report=report)
    figures = measure(network, held_out, mirror, classes=len(dataset.label_map))
    kept = store.save(
        store.SEGMENTER,
        evaluator_id,
        network,
        label_map=dataset.label_map,
        attributes=(),
        settings=settings.model_dump(mode="json"),
        data={
            "dataset": dataset_name,
            "content": content,
            "learned_from": len(rows),
            "tested_on": len(tested),
        },
        accuracy=_named(figures, dataset.label_map.names),
        made=time.time(),
        learned_from=thumbnails(learned.photos),
    )
    file.unlink(missing_ok=True)
    return kept, True


@torch.no_grad()
def measure(network: SegmenterNetwork, faces: Faces, mirror: Tensor, *, classes: int) -> SegmentationFigures:
    """Return how well a network does on photos and their mirror images, at their own side."""
    network.eval()
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for photos, masks in zip(
        faces.photos.split(_EVALUATED_AT_ONCE), faces.masks.split(_EVALUATED_AT_ONCE), strict=True
    ):
        logits = both_ways(network, photos.float() / 127.5 - 1, mirror)
        logits = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
        matrix += confusion(masks, logits.argmax(1), classes)
    return figures_of(matrix)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy and overlap loss.

    Args:
        logits: (N, C, h, w) float32.
        masks: (N, h, w) int64 class ids.

    Returns:
        a scalar. The overlap loss is one minus the Dice coefficient (Milletari et al., V-Net, 3DV 2016), averaged over
        the classes the masks show.
    """
    entropy = F.cross_entropy(logits, masks)
    truth = F.one_hot(masks, logits.shape[1]).permute(0, 3, 1, 2).float()
    answer = logits.softmax(1)
    shown = truth.sum((0, 2, 3))
    dice = (2 * (truth * answer).sum((0, 2, 3)) + 1) / (shown + answer.sum((0, 2, 3)) + 1)
    return entropy + DICE_WEIGHT * (1 - dice[shown > 0]).mean()


def _named(figures: SegmentationFigures, names: tuple[str, ...]) -> dict[str, float]:
    classes = {f"iou/{name}": value for name, value in zip(names, figures.iou, strict=True) if not math.isnan(value)}
    return {"pixel_accuracy": figures.pixel_accuracy, "mean_iou": figures.mean_iou, **classes}
