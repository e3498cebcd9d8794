"""Distance in the features of an ImageNet network; the network is part of the name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Measurement, Observation, Task

from .efficientnet_lite0 import EfficientNetLite0
from .options import PerceptualDistanceOptions
from .per_sample import mean_measurement

LAYERS = ("stem", "block2", "block4", "block7", "block10")
"""One layer for each resolution from 1/2 to 1/16."""


def feature_distance(result: Mapping[str, Tensor], photo: Mapping[str, Tensor]) -> Tensor:
    """Return the distance of each picture, in the form of LPIPS without learned weights.

    Channel vectors are scaled to length 1; their squared distances are averaged over positions, then over layers.

    Args:
        result: features by layer, (N, C, h, w) each.
        photo: features by layer, of the same shapes.

    Returns:
        (N,) float64 in 0..4.

    Raises:
        ValueError: layers or shapes differ.
    """
    if result.keys() != photo.keys():
        raise ValueError(f"cannot compare layers {sorted(result)} with layers {sorted(photo)}")
    distances = []
    for layer, features in result.items():
        other = photo[layer]
        if features.shape != other.shape:
            raise ValueError(f"layer {layer}: shapes {tuple(features.shape)} and {tuple(other.shape)}")
        difference = F.normalize(features.double(), dim=1) - F.normalize(other.double(), dim=1)
        distances.append(difference.square().sum(1).mean((1, 2)))
    return torch.stack(distances).mean(0)


def open_backbone(options: PerceptualDistanceOptions) -> EfficientNetLite0:
    """Return the network that a metric's options ask for. Raises FacekitError when the weights are not there."""
    path = None if options.weights is None else Path(options.weights).expanduser()
    return EfficientNetLite0(layers=LAYERS, weights=path)


@torch.no_grad()
def picture_distance(backbone: EfficientNetLite0, first: Tensor, second: Tensor) -> float:
    """Return the distance of two pictures (1, 3, H, W) in [-1, 1], in fp32.

    One pair at a time: convolutions choose their algorithm, and with it the last bits, by the size of the batch.
    """
    with torch.autocast(first.device.type, enabled=False):
        features = [backbone(EfficientNetLite0.normalise(image.float())) for image in (first, second)]
    return float(feature_distance(*features))


def distance_protocol(backbone: EfficientNetLite0) -> dict[str, str]:
    """Return what two distances must share to be compared."""
    return {
        "backbone": "EfficientNet-Lite0",
        "weights": f"sha256 {backbone.weights_sha256}",
        "layers": ", ".join(LAYERS),
        "input": "(x - 127) / 128, at the picture's own size",
        "distance": "squared, unit channel vectors, mean over positions and layers",
    }


class PerceptualDistance:
    """The mean perceptual distance of reconstructions in fp32 features of EfficientNet-Lite0.

    Args:
        backbone: the network; its features at :data:`LAYERS` are compared.
    """

    def __init__(self, backbone: EfficientNetLite0) -> None:
        self.backbone = backbone
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Faces from their own mask in their own look."""
        return ("reconstruction",)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self.backbone.to(observation.target.device)
        for result, photo in zip(observation.generated.image.split(1), observation.target.split(1), strict=True):
            self._values.append(picture_distance(self.backbone, result, photo))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``perceptual_distance/efficientnet_lite0``. Raises FacekitError when nothing was observed."""
        protocol = distance_protocol(self.backbone)
        name = "perceptual_distance/efficientnet_lite0"
        return (mean_measurement(name, self._values, unit="", better="lower", protocol=protocol),)


def build(options: PerceptualDistanceOptions, context: BuildContext) -> PerceptualDistance:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there.
    """
    return PerceptualDistance(open_backbone(options))
