"""How different the results of one mask are in different looks."""

from __future__ import annotations

from facekit.interfaces import BuildContext, Measurement, Observation, Task

from .efficientnet_lite0 import EfficientNetLite0
from .options import PerceptualDistanceOptions
from .per_sample import mean_measurement
from .perceptual_distance import distance_protocol, open_backbone, picture_distance
from .two_looks import TwoLooks

NAME = "diversity/efficientnet_lite0"


class Diversity:
    """The mean perceptual distance between the two results of a mask: in its own look, and in another face's.

    Args:
        backbone: the network; its features at the layers of ``perceptual_distance`` are compared.
    """

    def __init__(self, backbone: EfficientNetLite0) -> None:
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
        self.backbone.to(device)
        for key, image in zip(observation.keys, observation.generated.image.split(1), strict=True):
            other = self._looks.partner(key, observation.task, image.cpu())
            if other is not None:
                self._values.append(picture_distance(self.backbone, other.to(device), image))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``diversity/efficientnet_lite0``.

        Raises:
            FacekitError: no results, or faces that came in one task only.
        """
        self._looks.require_all()
        protocol = {**distance_protocol(self.backbone), "looks": "own and that of one other face"}
        return (mean_measurement(NAME, self._values, unit="", better="higher", protocol=protocol),)


def build(options: PerceptualDistanceOptions, context: BuildContext) -> Diversity:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there.
    """
    return Diversity(open_backbone(options))
