"""How different the results of one mask are in different looks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task

from .efficientnet_lite0 import EfficientNetLite0
from .options import PerceptualDistanceOptions
from .per_sample import mean_measurement
from .perceptual_distance import LAYERS, feature_distance

NAME = "diversity/efficientnet_lite0"


class Diversity:
    """The mean perceptual distance between the two results of a mask: in its own look, and in another face's.

    It pairs results by the key of their target face; the first to come is kept until the other does, so a runner that
    alternates tasks keeps few.

    Args:
        backbone: the network; its features at the layers of ``perceptual_distance`` are compared.
    """

    def __init__(self, backbone: EfficientNetLite0) -> None:
        self.backbone = backbone
        self._waiting: dict[str, tuple[Task, Tensor]] = {}
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Both looks of a mask."""
        return ("reconstruction", "style_copy")

    def update(self, observation: Observation) -> None:
        """Take in a batch of either task.

        Raises:
            FacekitError: a face comes twice in the same task.
        """
        self.backbone.to(observation.generated.image.device)
        # One by one: convolutions choose their algorithm, and with it the last bits, by the size of the batch.
        for key, image in zip(observation.keys, observation.generated.image.split(1), strict=True):
            task, other = self._waiting.pop(key, (None, None))
            if other is None:
                self._waiting[key] = (observation.task, image.cpu())
            elif task == observation.task:
                raise FacekitError(f"diversity saw face {key!r} twice in the task {task}")
            else:
                first, second = self._features(other.to(image.device)), self._features(image)
                self._values.append(float(feature_distance(first, second)))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``diversity/efficientnet_lite0``.

        Raises:
            FacekitError: no results, or faces that came in one task only.
        """
        if self._waiting:
            raise FacekitError(
                f"diversity saw {len(self._waiting)} faces in one task only",
                remedy="evaluate reconstruction and style_copy on the same faces",
            )
        protocol = {
            "backbone": "EfficientNet-Lite0",
            "weights": f"sha256 {self.backbone.weights_sha256}",
            "layers": ", ".join(LAYERS),
            "input": "(x - 127) / 128, at the picture's own size",
            "distance": "squared, unit channel vectors, mean over positions and layers",
            "looks": "own and that of one other face",
        }
        return (mean_measurement(NAME, self._values, unit="", better="higher", protocol=protocol),)

    @torch.no_grad()
    def _features(self, image: Tensor) -> dict[str, Tensor]:
        with torch.autocast(image.device.type, enabled=False):
            features: dict[str, Tensor] = self.backbone(EfficientNetLite0.normalise(image.float()))
        return features


def build(options: PerceptualDistanceOptions, context: BuildContext) -> Diversity:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there.
    """
    path = None if options.weights is None else Path(options.weights).expanduser()
    return Diversity(EfficientNetLite0(layers=LAYERS, weights=path))
