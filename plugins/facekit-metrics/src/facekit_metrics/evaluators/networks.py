"""The networks of evaluators over EfficientNet-Lite0: a segmenter's, and an attribute classifier's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, NoOptions
from facekit_backbones import EfficientNetLite0

LAYERS = {"stem": 32, "block2": 24, "block4": 40, "block10": 112, "block15": 320}
"""The encoder's layers, from 1/2 to 1/32 of the side, and their channels."""

WIDTHS = {"block10": 128, "block4": 96, "block2": 64, "stem": 48}
"""Channels of the segmenter's decoder at each of them."""

FINE, COARSE = "block10", "block15"
"""The layers that the classifier looks at, at 1/16 and 1/32 of the side."""

GRID, NARROW = 4, 48
"""Places to a side, and channels kept at each of them: faces are aligned, so a smile has its place."""

_GROUPS, _DROPOUT = 8, 0.3


class _Climb(nn.Module):
    """Doubles the side of deep features and joins them with the encoder's of that side."""

    def __init__(self, deep: int, skip: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(deep, width, 1, bias=False)
        self.join = nn.Conv2d(width + skip, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, width)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        raised = F.interpolate(self.reduce(deep), size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.join(torch.cat([raised, skip], dim=1))))


class SegmenterNetwork(nn.Module):
    """Photo to class logits; its encoder starts with ImageNet's weights and learns further.

    Args:
        classes: how many classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = EfficientNetLite0(layers=LAYERS, trainable=True)
        climbs: dict[str, nn.Module] = {}
        deep = LAYERS["block15"]
        for layer, width in WIDTHS.items():
            climbs[layer] = _Climb(deep, LAYERS[layer], width)
            deep = width
        self.climbs = nn.ModuleDict(climbs)
        self.classify = nn.Conv2d(deep, classes, 1)

    def forward(self, photo: Tensor) -> Tensor:
        """Return logits (N, classes, S/2, S/2) of photos (N, 3, S, S) in [-1, 1]."""
        features = self.encoder(EfficientNetLite0.normalise(photo))
        hidden: Tensor = features["block15"]
        for layer in WIDTHS:
            hidden = self.climbs[layer](hidden, features[layer])
        logits: Tensor = self.classify(hidden)
        return logits


class ClassifierNetwork(nn.Module):
    """Photo to attribute logits; its encoder starts with ImageNet's weights and learns further.

    Args:
        attributes: how many attributes.
    """

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.encoder = EfficientNetLite0(layers=(FINE, COARSE), trainable=True)
        self.narrow = nn.Conv2d(LAYERS[FINE], NARROW, 1)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classify = nn.Linear(LAYERS[COARSE] + NARROW * GRID * GRID, attributes)

    def forward(self, photo: Tensor) -> Tensor:
        """Return logits (N, attributes) of photos (N, 3, S, S) in [-1, 1]."""
        features = self.encoder(EfficientNetLite0.normalise(photo))
        overall = features[COARSE].mean((2, 3))
        placed = F.adaptive_avg_pool2d(F.relu(self.narrow(features[FINE])), GRID).flatten(1)
        logits: Tensor = self.classify(self.dropout(torch.cat([overall, placed], dim=1)))
        return logits


def both_ways(network: Callable[..., Tensor], photo: Tensor, mirror: Tensor | None = None) -> Tensor:
    """Return the mean of what a network says of photos and of their mirror images.

    Args:
        network: photos to logits, of attributes (N, A) or of classes (N, classes, h, w).
        photo: (N, 3, S, S) in [-1, 1].
        mirror: for classes: (256,) the id each id has in a mirrored image.
    """
    own = network(photo.contiguous(memory_format=torch.channels_last))
    other = network(photo.flip(-1).contiguous(memory_format=torch.channels_last))
    if mirror is not None:
        other = other.flip(-1)[:, mirror[: own.shape[1]].long()]
    return (own + other) / 2


def build_segmenter(options: NoOptions, context: BuildContext) -> SegmenterNetwork:
    """Build the network for the classes of the data."""
    return SegmenterNetwork(len(context.label_map))


def build_classifier(options: NoOptions, context: BuildContext) -> ClassifierNetwork:
    """Build the network for the attributes of the data."""
    return ClassifierNetwork(len(context.attribute_names))
