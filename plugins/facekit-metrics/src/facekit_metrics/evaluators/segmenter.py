"""A trained segmenter as a component: photos in, class logits out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, LabelMap

from . import store
from .network import SegmenterNetwork, both_ways, empty_network
from .options import SegmenterOptions


class TrainedSegmenter:
    """Says of each pixel which class it belongs to; see :class:`facekit.interfaces.Segmenter`.

    Photos and their mirror images are read, and the answers averaged.

    Args:
        network: the network, with its trained weights.
        kept: what is known of it.
    """

    def __init__(self, network: SegmenterNetwork, kept: store.KeptEvaluator) -> None:
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._kept = kept
        self._size = int(kept.settings["size"])
        self._mirror = torch.from_numpy(kept.label_map.mirror_table())

    @property
    def label_map(self) -> LabelMap:
        """The classes it tells apart."""
        return self._kept.label_map

    @property
    def provenance(self) -> str:
        """Its id and the hash of its weights."""
        return self._kept.provenance

    @property
    def own_accuracy(self) -> str:
        """Its own figures on photos it did not learn from, in a sentence."""
        return self._kept.own_accuracy

    @property
    def accuracy(self) -> dict[str, float]:
        """Its own figures on photos it did not learn from, by name."""
        return dict(self._kept.accuracy)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, H, W), float32, of photos (N, 3, H, W) in [-1, 1]."""
        self._network.to(image.device)
        # One by one, because convolutions choose their algorithm, and with it the last bits, by the batch.
        logits = []
        with torch.autocast(image.device.type, enabled=False):
            for photo in image.float().split(1):
                fed = resized(photo, self._size)
                answer = both_ways(self._network, fed, self._mirror.to(fed.device))
                logits.append(F.interpolate(answer, size=image.shape[-2:], mode="bilinear", align_corners=False))
        return torch.cat(logits)


def build(options: SegmenterOptions, context: BuildContext | None = None) -> TrainedSegmenter:
    """Load a trained segmenter.

    Raises:
        FacekitError: none is there, or it is damaged.
    """
    kept = store.find(store.SEGMENTER, options.evaluator, label_map=options.label_map)
    return load_segmenter(kept)


def load_segmenter(kept: store.KeptEvaluator) -> TrainedSegmenter:
    """Load a trained segmenter.

    Raises:
        FacekitError: it is damaged.
    """
    network = empty_network(len(kept.label_map))
    store.load_weights(kept, network)
    return TrainedSegmenter(network, kept)


def resized(photo: Tensor, size: int) -> Tensor:
    """Return photos (N, 3, H, W) in [-1, 1] at the side an evaluator sees."""
    if photo.shape[-2:] == (size, size):
        return photo
    return F.interpolate(photo, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
