"""How different the results of one mask are in different looks, or the samples of a model from noise alone."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Metric, Observation, Task

from .backbones import Backbone, open_backbone
from .options import PerceptualDistanceOptions
from .per_sample import mean_measurement
from .perceptual_distance import distance_protocol, picture_distance
from .two_looks import TwoLooks


class Diversity:
    """The mean perceptual distance between the two results of a mask: in its own look, and in another face's.

    Args:
        backbone: the network, as in ``perceptual_distance``.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._looks = TwoLooks("diversity")
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Both looks of a mask."""
        return TwoLooks.TASKS

    def update(self, observation: Observation) -> None:
        """Take in a batch of either task.

        Raises:
            FacekitError: a face comes twice in the same task.
        """
        device = observation.generated.image.device
        self.backbone.network.to(device)
        for key, image in zip(observation.keys, observation.generated.image.split(1), strict=True):
            other = self._looks.partner(key, observation.task, image.cpu())
            if other is not None:
                self._values.append(picture_distance(self.backbone, other.to(device), image))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``diversity/BACKBONE``.

        Raises:
            FacekitError: no results, or faces that came in one task only.
        """
        self._looks.require_all()
        protocol = {**distance_protocol(self.backbone), "looks": "own and that of one other face"}
        return (
            mean_measurement(
                f"diversity/{self.backbone.name}", self._values, unit="", better="higher", protocol=protocol
            ),
        )


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
        """Take in a batch.

        Raises:
            FacekitError: a sample comes twice.
        """
        self._device = observation.generated.image.device
        pixels = ((observation.generated.image + 1) * 127.5).round().to(torch.uint8).cpu()
        for key, image in zip(observation.keys, pixels.split(1), strict=True):
            if key in self._pixels:
                raise FacekitError(f"diversity saw the sample of {key!r} twice")
            self._pixels[key] = image.clone()

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``diversity/BACKBONE``.

        Raises:
            FacekitError: fewer than two samples.
        """
        if len(self._pixels) < 2:
            raise FacekitError(
                f"diversity compares samples with each other, and was given {len(self._pixels)}: no results to measure",
                remedy="evaluate two faces or more",
            )
        self.backbone.network.to(self._device)
        keys = sorted(self._pixels)
        values = [
            picture_distance(self.backbone, self._image(key), self._image(other))
            for key, other in zip(keys, [*keys[1:], keys[0]], strict=True)
        ]
        protocol = {
            **distance_protocol(self.backbone),
            "task": "generation",
            "pairs": "each sample and the next by key",
        }
        return (
            mean_measurement(f"diversity/{self.backbone.name}", values, unit="", better="higher", protocol=protocol),
        )

    def _image(self, key: str) -> Tensor:
        return self._pixels[key].to(self._device).float() / 127.5 - 1


def build(options: PerceptualDistanceOptions, context: BuildContext) -> Metric:
    """Build the metric from a recipe's options: that of samples for a model from noise alone.

    Raises:
        FacekitError: the weights are not there.
    """
    if context.first_task("style_copy", "generation") == "generation":
        return SampleDiversity(open_backbone(options))
    return Diversity(open_backbone(options))
