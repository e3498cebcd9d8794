"""Training a segmenter: one loop, which can be stopped at any epoch and goes on from there."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FaceDataset, FacekitError

from . import store
from .faces import Faces, read_faces, split_rows
from .figures import SegmentationFigures, confusion, figures_of
from .network import SegmenterNetwork
from .options import SegmenterSettings
from .segmenter import empty_network
from .variations import varied

ENCODER_SHARE = 0.2
"""The encoder's learning rate, as a share of the decoder's."""

DICE_WEIGHT = 0.5
"""Weight of the overlap loss, which rare classes live by, beside the cross-entropy."""

_EVALUATED_AT_ONCE = 16


@dataclass(frozen=True)
class Report:
    """What training says as it goes: which epoch of how many ended, its mean loss, seconds it took."""

    epoch: int
    epochs: int
    loss: float
    seconds: float


def train_segmenter(
    dataset: FaceDataset,
    settings: SegmenterSettings,
    *,
    dataset_name: str,
    say: Callable[[str], None],
    report: Callable[[Report], None],
    again: bool = False,
) -> tuple[store.KeptJudge, bool]:
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
        the judge, and whether it was trained now.

    Raises:
        FacekitError: the dataset has no photos to learn from, or a file cannot be read.
    """
    rows, tested = split_rows(dataset, settings.splits, held_out=settings.held_out)
    network = empty_network(len(dataset.label_map))
    say(f"reading {len(rows):,} photos to learn from and {len(tested):,} to test on, at {settings.size} pixels")
    learned, held_out = read_faces(dataset, rows, settings.size), read_faces(dataset, tested, settings.size)
    content = [learned.content(), held_out.content()]
    judge_id = store.identity(
        version=1,
        kind="segmenter",
        settings=settings.model_dump(mode="json"),
        data=content,
        label_map=[dataset.label_map.name, *dataset.label_map.names],
        first_weights=network.encoder.weights_sha256,
    )
    if not again:
        for kept in store.kept_judges("segmenter"):
            if kept.id == judge_id:
                return kept, False
    torch.manual_seed(settings.seed)
    network = empty_network(len(dataset.label_map))
    mirror = torch.from_numpy(dataset.label_map.mirror_table())
    state = _Training(network, settings, updates=settings.epochs * math.ceil(len(learned) / settings.batch))
    file = store.folder_of_judges() / f".training-segmenter-{judge_id}"
    if again:
        file.with_suffix(".safetensors").unlink(missing_ok=True)
    first = state.load(file)
    if first:
        say(f"going on after epoch {first}")
    for epoch in range(first, settings.epochs):
        begun = time.monotonic()
        loss = state.epoch(learned, mirror, epoch)
        state.save(file, epoch + 1)
        report(Report(epoch + 1, settings.epochs, loss, time.monotonic() - begun))
    state.take_average()
    figures = measure(network, held_out, classes=len(dataset.label_map))
    kept = store.save(
        "segmenter",
        judge_id,
        network,
        label_map=dataset.label_map,
        settings=settings.model_dump(mode="json"),
        data={
            "dataset": dataset_name,
            "content": content,
            "learned_from": len(rows),
            "tested_on": len(tested),
        },
        accuracy=_named(figures, dataset.label_map.names),
        made=time.time(),
    )
    file.with_suffix(".safetensors").unlink(missing_ok=True)
    return kept, True


@torch.no_grad()
def measure(network: SegmenterNetwork, faces: Faces, *, classes: int) -> SegmentationFigures:
    """Return how well a network does on photos, at their own side."""
    network.eval()
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for photos, masks in zip(
        faces.photos.split(_EVALUATED_AT_ONCE), faces.masks.split(_EVALUATED_AT_ONCE), strict=True
    ):
        logits = network((photos.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        logits = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
        matrix += confusion(masks, logits.argmax(1), classes)
    return figures_of(matrix)


class _Training:
    """The network, its optimiser and its average."""

    def __init__(self, network: SegmenterNetwork, settings: SegmenterSettings, *, updates: int) -> None:
        self._network = network
        self._settings = settings
        self._updates = updates
        self._done = 0
        encoder = list(network.encoder.parameters())
        decoder = [*network.climbs.parameters(), *network.classify.parameters()]
        self._optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": settings.lr * ENCODER_SHARE}, {"params": decoder, "lr": settings.lr}],
            weight_decay=settings.weight_decay,
        )
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self._average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def epoch(self, faces: Faces, mirror: Tensor, epoch: int) -> float:
        """Learn from every photo once; returns the mean loss. Everything drawn follows from seed and epoch."""
        self._network.train()
        random = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + epoch)
        total = torch.zeros(())
        order = torch.randperm(len(faces), generator=random).split(self._settings.batch)
        for rows in order:
            photos, masks = varied(faces.photos[rows], faces.masks[rows], mirror, random)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self._network(photos.contiguous(memory_format=torch.channels_last))
            loss = segmentation_loss(logits.float(), masks)
            if not bool(torch.isfinite(loss)):
                raise FacekitError(f"the loss is no longer a number in epoch {epoch + 1}", remedy="try a smaller lr")
            self._set_rates()
            self._optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
            self._optimiser.step()
            self._done += 1
            self._move_average()
            total += loss.detach()
        return float(total) / len(order)

    def take_average(self) -> None:
        """Put the averaged weights into the network."""
        self._network.load_state_dict(self._average)

    def save(self, file: Path, epochs: int) -> None:
        """Write everything that the next epoch depends on; beside, then renamed."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self._average.items()}
        for index, entry in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in entry.items()}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, beside, metadata={"progress": json.dumps({"epochs": epochs, "updates": self._done})})
        beside.replace(file.with_suffix(".safetensors"))

    def load(self, file: Path) -> int:
        """Read what :meth:`save` wrote; returns how many epochs are done, 0 when nothing is there."""
        from safetensors import SafetensorError, safe_open

        path = file.with_suffix(".safetensors")
        if not path.is_file():
            return 0
        try:
            with safe_open(path, "pt") as opened:
                progress = json.loads(opened.metadata()["progress"])
            tensors = load_file(path)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise FacekitError(
                f"the unfinished training cannot be read: {error}", where=str(path), remedy="remove the file"
            ) from error
        self._network.load_state_dict(_below("network.", tensors))
        self._average = _below("average.", tensors)
        groups = self._optimiser.state_dict()["param_groups"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser.", tensors).items():
            index, _, part = name.partition(".")
            state.setdefault(int(index), {})[part] = value
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        self._done = int(progress["updates"])
        return int(progress["epochs"])

    def _set_rates(self) -> None:
        """Warm up over the first 5 %, then fall along a cosine."""
        share = self._done / self._updates
        factor = min(1.0, (self._done + 1) / max(1, 0.05 * self._updates)) * 0.5 * (1 + math.cos(math.pi * share))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    @torch.no_grad()
    def _move_average(self) -> None:
        stays = min(self._settings.ema, self._done / (self._done + 10))
        for name, value in self._network.state_dict().items():
            self._average[name].lerp_(value, 1 - stays)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy and overlap loss.

    Args:
        logits: (N, C, h, w) float32; brought to the masks' size.
        masks: (N, H, W) int64 class ids.

    Returns:
        a scalar. The overlap loss is one minus the Dice coefficient (Milletari et al., V-Net, 3DV 2016), averaged over
        the classes the masks show.
    """
    logits = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    entropy = F.cross_entropy(logits, masks)
    truth = F.one_hot(masks, logits.shape[1]).permute(0, 3, 1, 2).float()
    answer = logits.softmax(1)
    shown = truth.sum((0, 2, 3))
    dice = (2 * (truth * answer).sum((0, 2, 3)) + 1) / (shown + answer.sum((0, 2, 3)) + 1)
    return entropy + DICE_WEIGHT * (1 - dice[shown > 0]).mean()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _named(figures: SegmentationFigures, names: tuple[str, ...]) -> dict[str, float]:
    classes = {f"iou/{name}": value for name, value in zip(names, figures.iou, strict=True) if not math.isnan(value)}
    return {"pixel_accuracy": figures.pixel_accuracy, "mean_iou": figures.mean_iou, **classes}
