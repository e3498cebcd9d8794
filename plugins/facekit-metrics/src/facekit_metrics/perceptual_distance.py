"""Distance in the features of an ImageNet network; the network is part of the name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Measurement, Observation, Task

from .backbones import Backbone, open_backbone
from .options import PerceptualDistanceOptions
from .per_sample import mean_measurement


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


@torch.no_grad()
def picture_distance(backbone: Backbone, first: Tensor, second: Tensor) -> float:
    """Return the distance of two pictures (1, 3, H, W) in [-1, 1], in fp32.

    One pair at a time: convolutions choose their algorithm, and with it the last bits, by the size of the batch.
    """
    with torch.autocast(first.device.type, enabled=False):
        features = [backbone.network(backbone.normalise(image.float())) for image in (first, second)]
    distance = feature_distance if backbone.distance is None else backbone.distance
    return float(distance(*features))


def distance_protocol(backbone: Backbone) -> dict[str, str]:
    """Return what two distances must share to be compared."""
    return {**backbone.protocol, "distance": backbone.said}


class PerceptualDistance:
    """The mean perceptual distance of reconstructions in fp32 features of a named network.

    Args:
        backbone: the network.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Faces from their own mask in their own look."""
        return ("reconstruction",)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self.backbone.network.to(observation.target.device)
        for result, photo in zip(observation.generated.image.split(1), observation.target.split(1), strict=True):
            self._values.append(picture_distance(self.backbone, result, photo))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``perceptual_distance/BACKBONE``. Raises FacekitError when nothing was observed."""
        protocol = distance_protocol(self.backbone)
        name = f"perceptual_distance/{self.backbone.name}"
        return (mean_measurement(name, self._values, unit="", better="lower", protocol=protocol),)


def build(options: PerceptualDistanceOptions, context: BuildContext) -> PerceptualDistance:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there.
    """
    return PerceptualDistance(open_backbone(options))
