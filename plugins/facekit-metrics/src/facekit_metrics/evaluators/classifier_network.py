"""The attribute classifier's network: EfficientNet-Lite0 and one layer over what it sees, and where."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, NoOptions
from facekit_backbones import EfficientNetLite0

FINE, COARSE = "block10", "block15"
"""The encoder's layers it looks at, at 1/16 and 1/32 of the side."""

CHANNELS = {FINE: 112, COARSE: 320}
GRID, NARROW = 4, 48
"""Places to a side, and channels kept at each of them: faces are aligned, so a smile has its place."""

DROPOUT = 0.3


class ClassifierNetwork(nn.Module):
    """Photo to attribute logits.

    Args:
        attributes: how many attributes.
        encoder: the network that reads the photo; its weights are learned further.
    """

    def __init__(self, attributes: int, encoder: EfficientNetLite0) -> None:
        super().__init__()
        self.encoder = encoder
        self.narrow = nn.Conv2d(CHANNELS[FINE], NARROW, 1)
        self.dropout = nn.Dropout(DROPOUT)
        self.classify = nn.Linear(CHANNELS[COARSE] + NARROW * GRID * GRID, attributes)

    def forward(self, photo: Tensor) -> Tensor:
        """Return logits (N, attributes) of photos (N, 3, S, S) in [-1, 1]."""
        features = self.encoder(EfficientNetLite0.normalise(photo))
        overall = features[COARSE].mean((2, 3))
        placed = F.adaptive_avg_pool2d(F.relu(self.narrow(features[FINE])), GRID).flatten(1)
        logits: Tensor = self.classify(self.dropout(torch.cat([overall, placed], dim=1)))
        return logits


def build(options: NoOptions, context: BuildContext) -> ClassifierNetwork:
    """Build the network for the attributes of the data."""
    return empty_classifier(len(context.attribute_names))


def empty_classifier(attributes: int) -> ClassifierNetwork:
    """Return the network with ImageNet's weights in the encoder and an untrained layer over it."""
    encoder = EfficientNetLite0(layers=(FINE, COARSE), trainable=True)
    return ClassifierNetwork(attributes, encoder)


def logits_both_ways(network: Callable[..., Tensor], photo: Tensor) -> Tensor:
    """Return the mean of what a network says of photos (N, 3, S, S) and of their mirror images, (N, attributes)."""
    own = network(photo.contiguous(memory_format=torch.channels_last))
    other = network(photo.flip(-1).contiguous(memory_format=torch.channels_last))
    return (own + other) / 2
