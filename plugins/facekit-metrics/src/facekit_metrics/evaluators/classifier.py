"""A trained attribute classifier: photos in, one logit an attribute out."""

from __future__ import annotations

import torch
from torch import Tensor

from . import store
from .classifier_network import ClassifierNetwork, empty_classifier, logits_both_ways
from .segmenter import resized


class TrainedClassifier:
    """Says of each photo which attributes it shows. Photos and their mirror images are read, and the answers averaged.

    Args:
        network: the network, with its trained weights.
        kept: what is known of it.
    """

    def __init__(self, network: ClassifierNetwork, kept: store.KeptEvaluator) -> None:
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._size = int(kept.settings["size"])
        self.kept = kept

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes it knows, in the order of its logits."""
        return self.kept.attributes

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (N, A), float32, of photos (N, 3, H, W) in [-1, 1]; above 0 it shows the attribute."""
        self._network.to(image.device)
        # One by one, because convolutions choose their algorithm, and with it the last bits, by the batch.
        with torch.autocast(image.device.type, enabled=False):
            return torch.cat(
                [logits_both_ways(self._network, resized(photo, self._size)) for photo in image.float().split(1)]
            )


def load_classifier(kept: store.KeptEvaluator) -> TrainedClassifier:
    """Load a trained classifier.

    Raises:
        FacekitError: it is damaged.
    """
    network = empty_classifier(len(kept.attributes))
    store.load_weights(kept, network)
    return TrainedClassifier(network, kept)
