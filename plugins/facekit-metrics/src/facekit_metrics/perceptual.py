"""How different images are: from their photos in the features of a network, and in two styles of one mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, FacekitError, Measurement, Metric, NoOptions, Observation, Task
from facekit.registry.decorators import FunctionMetric
from facekit_backbones import EfficientNetLite0

from .measurements import mean_measurement, nothing_to_measure
from .options import PerceptualDistanceOptions
from .squeezenet import SqueezeNet
from .stlpips import LAYERS as STLPIPS_LAYERS
from .stlpips import StLpips

LAYERS = ("stem", "block2", "block4", "block7", "block10")
"""Of EfficientNet-Lite0: one layer for each resolution from 1/2 to 1/16."""

SQUEEZENET_LAYERS = ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
"""Of SqueezeNet: those of LPIPS."""


def feature_distance(result: Mapping[str, Tensor], photo: Mapping[str, Tensor]) -> Tensor:
    """Return the distance of each image, in the form of LPIPS without learned weights.

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


def mean_change(own: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference, (N,) float64 in 0..2, of images (N, 3, H, W) in [-1, 1].

    Raises:
        ValueError: the shapes differ.
    """
    if own.shape != other.shape:
        raise ValueError(f"cannot compare pictures of shapes {tuple(own.shape)} and {tuple(other.shape)}")
    return (own.double() - other.double()).abs().mean((1, 2, 3))


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network that gives features by layer, and the distance of images in them.

    Args:
        name: the network's name, for measurements.
        network: takes normalised images (N, 3, H, W), gives maps by layer.
        normalise: takes images in [-1, 1].
        protocol: network, weights, layers, input and distance, in words.
        distance: takes the features of two batches, gives a distance (N,) of each pair.
    """

    name: str
    network: nn.Module
    normalise: Callable[[Tensor], Tensor]
    protocol: Mapping[str, str]
    distance: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Tensor] = feature_distance

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor) -> float:
        """Return the distance of two images (1, 3, H, W) in [-1, 1], in fp32.

        One pair at a time: convolutions choose their algorithm, and with it the last bits, by the size of the batch.
        """
        self.network.to(first.device)
        with torch.autocast(first.device.type, enabled=False):
            features = [self.network(self.normalise(image.float())) for image in (first, second)]
        return float(self.distance(*features))


def open_backbone(options: PerceptualDistanceOptions) -> Backbone:
    """Return the network that a metric's options ask for. Raises FacekitError when the weights are not there."""
    path = None if options.weights is None else Path(options.weights).expanduser()

    def protocol(name: str, weights: str, layers: tuple[str, ...], values: str, distance: str = "") -> dict[str, str]:
        return {
            "backbone": name,
            "weights": f"sha256 {weights}",
            "layers": ", ".join(layers),
            "input": f"{values}, at the picture's own size",
            "distance": distance or "squared, unit channel vectors, mean over positions and layers",
        }

    if options.backbone == "squeezenet":
        squeezenet = SqueezeNet(layers=SQUEEZENET_LAYERS, weights=path)
        values = "BGR in 0..255 less 104, 117, 123"
        said = protocol("SqueezeNet 1.1", squeezenet.weights_sha256, SQUEEZENET_LAYERS, values)
        return Backbone(options.backbone, squeezenet, SqueezeNet.normalise, said)
    if options.backbone == "stlpips":
        stlpips = StLpips(weights=path)
        distance = "ST-LPIPS: squared, unit channel vectors, learned weights, mean over positions, sum over layers"
        name, values = "ST-LPIPS, shift-tolerant AlexNet", "LPIPS's scaling"
        said = protocol(name, stlpips.weights_sha256, STLPIPS_LAYERS, values, distance)
        return Backbone(options.backbone, stlpips, StLpips.normalise, said, stlpips.distance)
    network = EfficientNetLite0(layers=LAYERS, weights=path)
    said = protocol("EfficientNet-Lite0", network.weights_sha256, LAYERS, "(x - 127) / 128")
    return Backbone(options.backbone, network, EfficientNetLite0.normalise, said)


class PairedStyles:
    """The mean distance between the two results of a mask: in a face's own style, and in another face's.

    The first to come is kept until the other does, so a runner that alternates tasks keeps few.

    Args:
        name: of the measurement.
        distance: of two images (1, 3, H, W) in [-1, 1].
        protocol: what two numbers must share to be compared.
    """

    tasks: tuple[Task, ...] = ("reconstruction", "style_copy")

    def __init__(self, name: str, distance: Callable[[Tensor, Tensor], float], protocol: Mapping[str, str]) -> None:
        self._name, self._distance, self._protocol = name, distance, protocol
        self._metric = name.partition("/")[0]
        self._waiting: dict[str, tuple[Task, Tensor]] = {}
        self._values: list[float] = []

    def update(self, observation: Observation) -> None:
        """Take in a batch of either task. Raises FacekitError when a face comes twice in the same task."""
        for key, image in zip(observation.keys, observation.generated.image.split(1), strict=True):
            before, other = self._waiting.pop(key, (None, None))
            if other is None:
                self._waiting[key] = (observation.task, image.cpu())
            elif before == observation.task:
                raise FacekitError(f"{self._metric} saw face {key!r} twice in the task {observation.task}")
            else:
                self._values.append(self._distance(other.to(image.device), image))

    def compute(self) -> tuple[Measurement, ...]:
        """Return the mean. Raises FacekitError for no results, or faces that came in one task only."""
        if self._waiting:
            raise FacekitError(
                f"{self._metric} saw {len(self._waiting)} faces in one task only",
                remedy="evaluate reconstruction and style_copy on the same faces",
            )
        return (mean_measurement(self._name, self._values, better="higher", protocol=self._protocol),)


class SampleDiversity:
    """The mean perceptual distance between samples of other noise: each and the next one by the key of its noise.

    The last is compared with the first, so there are as many values as samples. Their pixels are kept until the end.

    Args:
        backbone: the network, as in ``perceptual_distance``.
    """

    tasks: tuple[Task, ...] = ("generation",)

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._device = torch.device("cpu")
        self._pixels: dict[str, Tensor] = {}

    def update(self, observation: Observation) -> None:
        """Take in a batch. Raises FacekitError when a sample comes twice."""
        self._device = observation.generated.image.device
        pixels = ((observation.generated.image + 1) * 127.5).round().to(torch.uint8).cpu()
        for key, image in zip(observation.keys, pixels.split(1), strict=True):
            if key in self._pixels:
                raise FacekitError(f"diversity saw the sample of {key!r} twice")
            self._pixels[key] = image.clone()

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``diversity/BACKBONE``. Raises FacekitError for fewer than two samples."""
        if not self._pixels:
            raise nothing_to_measure("diversity")
        if len(self._pixels) < 2:
            raise FacekitError("diversity compares samples with each other", remedy="evaluate two faces or more")
        keys = sorted(self._pixels)
        values = [
            self.backbone.between(*(self._pixels[each].to(self._device).float() / 127.5 - 1 for each in pair))
            for pair in zip(keys, [*keys[1:], keys[0]], strict=True)
        ]
        protocol = {**self.backbone.protocol, "task": "generation", "pairs": "each sample and the next by key"}
        return (mean_measurement(f"diversity/{self.backbone.name}", values, better="higher", protocol=protocol),)


def build(options: PerceptualDistanceOptions, context: BuildContext) -> Metric:
    """Build ``perceptual_distance``: the mean distance of reconstructions from their photos.

    Raises:
        FacekitError: the weights are not there.
    """
    backbone = open_backbone(options)

    def distances(observation: Observation) -> Tensor:
        pairs = zip(observation.generated.image.split(1), observation.target.split(1), strict=True)
        return torch.tensor([backbone.between(*pair) for pair in pairs], dtype=torch.float64)

    name = f"perceptual_distance/{backbone.name}"
    return FunctionMetric(distances, name, ("reconstruction",), "", "lower", backbone.protocol)


def build_diversity(options: PerceptualDistanceOptions, context: BuildContext) -> Metric:
    """Build ``diversity``: of the two styles of a mask, or of the samples of a model from noise alone.

    Raises:
        FacekitError: the weights are not there.
    """
    backbone = open_backbone(options)
    if context.first_task("style_copy", "generation") == "generation":
        return SampleDiversity(backbone)
    protocol = {**backbone.protocol, "looks": "own and that of one other face"}
    return PairedStyles(f"diversity/{backbone.name}", backbone.between, protocol)


def build_changes(options: NoOptions, context: BuildContext) -> Metric:
    """Build ``changes_with_reference``: how much results change with the style; 0 is a dead style path."""
    protocol = {"difference": "mean absolute, pictures in [-1, 1]"}
    return PairedStyles("changes_with_reference", lambda own, other: float(mean_change(own, other)), protocol)
