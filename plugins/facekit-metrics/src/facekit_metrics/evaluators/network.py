"""The segmenter's network: EfficientNet-Lite0 with a decoder that climbs back to half the picture's side."""

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
"""Channels of the decoder at each of them."""

_GROUPS = 8


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


def both_ways(network: Callable[..., Tensor], photo: Tensor, mirror: Tensor) -> Tensor:
    """Return the mean of what a network says of photos and of their mirror images.

    Args:
        network: photos to class logits.
        photo: (N, 3, S, S) in [-1, 1].
        mirror: (256,) the id each id has in a mirrored picture.

    Returns:
        logits (N, classes, h, w).
    """
    own = network(photo.contiguous(memory_format=torch.channels_last))
    other = network(photo.flip(-1).contiguous(memory_format=torch.channels_last)).flip(-1)
    return (own + other[:, mirror[: own.shape[1]].long()]) / 2


class SegmenterNetwork(nn.Module):
    """Photo to class logits.

    Args:
        classes: how many classes.
        encoder: the network that reads the photo; its weights are learned further.
    """

    def __init__(self, classes: int, encoder: EfficientNetLite0) -> None:
        super().__init__()
        self.encoder = encoder
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


def build(options: NoOptions, context: BuildContext) -> SegmenterNetwork:
    """Build the network for the classes of the data."""
    return empty_network(len(context.label_map))


def empty_network(classes: int) -> SegmenterNetwork:
    """Return the network with ImageNet's weights in the encoder and untrained ones in the decoder."""
    encoder = EfficientNetLite0(layers=LAYERS, trainable=True)
    return SegmenterNetwork(classes, encoder)
