"""Trained evaluators: a segmenter, photos in, class logits out; and an attribute classifier."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, LabelMap

from . import store
from .networks import ClassifierNetwork, SegmenterNetwork, both_ways
from .options import SegmenterOptions


class _Trained:
    """A network with its trained weights, and what is known of it (``kept``)."""

    def __init__(self, network: nn.Module, kept: store.KeptEvaluator) -> None:
        store.load_weights(kept, network)
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.kept = kept

    @torch.no_grad()
    def _read(self, image: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what ``read`` gives for each photo at the side that the network sees, joined."""
        self._network.to(image.device)
        size = int(self.kept.settings["size"])
        with torch.autocast(image.device.type, enabled=False):
            # One by one, because convolutions choose their algorithm, and with it the last bits, by the batch.
            return torch.cat([read(_resized(photo, size)) for photo in image.float().split(1)])


class TrainedSegmenter(_Trained):
    """Says of each pixel which class it belongs to; see :class:`facekit.interfaces.Segmenter`.

    Photos and their mirror images are read, and the answers averaged.

    Raises:
        FacekitError: its weights are damaged.
    """

    def __init__(self, kept: store.KeptEvaluator) -> None:
        super().__init__(SegmenterNetwork(len(kept.label_map)), kept)
        self._mirror = torch.from_numpy(kept.label_map.mirror_table())

    @property
    def label_map(self) -> LabelMap:
        """The classes it tells apart."""
        return self.kept.label_map

    @property
    def provenance(self) -> str:
        """Its id and the hash of its weights."""
        return self.kept.provenance

    @property
    def own_accuracy(self) -> str:
        """Its own figures on photos it did not learn from, in a sentence."""
        return self.kept.own_accuracy

    @property
    def accuracy(self) -> dict[str, float]:
        """Its own figures on photos it did not learn from, by name."""
        return dict(self.kept.accuracy)

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, H, W), float32, of photos (N, 3, H, W) in [-1, 1]."""

        def read(photo: Tensor) -> Tensor:
            logits = both_ways(self._network, photo, self._mirror.to(photo.device))
            return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)

        return self._read(image, read)


class TrainedClassifier(_Trained):
    """Says of each photo which attributes it shows. Photos and their mirror images are read, and the answers averaged.

    Raises:
        FacekitError: its weights are damaged.
    """

    def __init__(self, kept: store.KeptEvaluator) -> None:
        super().__init__(ClassifierNetwork(len(kept.attributes)), kept)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes it knows, in the order of its logits."""
        return self.kept.attributes

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (N, A), float32, of photos (N, 3, H, W) in [-1, 1]; above 0 it shows the attribute."""
        return self._read(image, lambda photo: both_ways(self._network, photo))


def build(options: SegmenterOptions, context: BuildContext | None = None) -> TrainedSegmenter:
    """Load a trained segmenter. Raises FacekitError when none is there, or it is damaged."""
    return TrainedSegmenter(store.find(store.SEGMENTER, options.evaluator, label_map=options.label_map))


def _resized(photo: Tensor, size: int) -> Tensor:
    if photo.shape[-2:] == (size, size):
        return photo
    return F.interpolate(photo, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
