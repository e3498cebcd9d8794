"""Networks whose features two pictures are compared in, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from facekit_backbones import EfficientNetLite0

from .options import PerceptualDistanceOptions
from .squeezenet import SqueezeNet

LAYERS = ("stem", "block2", "block4", "block7", "block10")
"""Of EfficientNet-Lite0: one layer for each resolution from 1/2 to 1/16."""

SQUEEZENET_LAYERS = ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
"""Of SqueezeNet: those of LPIPS."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network that gives features by layer.

    Args:
        name: the network's name, for measurements.
        network: takes normalised pictures (N, 3, H, W), gives maps by layer.
        normalise: takes pictures in [-1, 1].
        protocol: network, weights, layers and input, in words.
    """

    name: str
    network: nn.Module
    normalise: Callable[[Tensor], Tensor]
    protocol: Mapping[str, str]


def open_backbone(options: PerceptualDistanceOptions) -> Backbone:
    """Return the network that a metric's options ask for. Raises FacekitError when the weights are not there."""
    path = None if options.weights is None else Path(options.weights).expanduser()
    if options.backbone == "squeezenet":
        squeezenet = SqueezeNet(layers=SQUEEZENET_LAYERS, weights=path)
        said = _protocol(
            "SqueezeNet 1.1", squeezenet.weights_sha256, SQUEEZENET_LAYERS, "BGR in 0..255 less 104, 117, 123"
        )
        return Backbone(options.backbone, squeezenet, SqueezeNet.normalise, said)
    network = EfficientNetLite0(layers=LAYERS, weights=path)
    said = _protocol("EfficientNet-Lite0", network.weights_sha256, LAYERS, "(x - 127) / 128")
    return Backbone(options.backbone, network, EfficientNetLite0.normalise, said)


def _protocol(name: str, weights: str, layers: tuple[str, ...], values: str) -> dict[str, str]:
    return {
        "backbone": name,
        "weights": f"sha256 {weights}",
        "layers": ", ".join(layers),
        "input": f"{values}, at the picture's own size",
    }
