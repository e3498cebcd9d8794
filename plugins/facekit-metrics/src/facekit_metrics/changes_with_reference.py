"""How much results change when another photo gives the look: zero says that the style path is dead."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import BuildContext, Measurement, NoOptions, Observation, Task

from .per_sample import mean_measurement
from .two_looks import TwoLooks

NAME = "changes_with_reference"


def mean_change(own: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference of each pair of pictures.

    Args:
        own: (N, 3, H, W) in [-1, 1].
        other: (N, 3, H, W) in [-1, 1].

    Returns:
        (N,) float64 in 0..2.

    Raises:
        ValueError: the shapes differ.
    """
    if own.shape != other.shape:
        raise ValueError(f"cannot compare pictures of shapes {tuple(own.shape)} and {tuple(other.shape)}")
    return (own.double() - other.double()).abs().mean((1, 2, 3))


class ChangesWithReference:
    """The mean absolute difference between the result in a face's own look and the one in another face's look."""

    def __init__(self) -> None:
        self._looks = TwoLooks(NAME)
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Both."""
        return TwoLooks.TASKS

    def update(self, observation: Observation) -> None:
        """Take in a batch of either task.

        Raises:
            FacekitError: a face comes twice in the same task.
        """
        for key, image in zip(observation.keys, observation.generated.image.cpu().split(1), strict=True):
            other = self._looks.partner(key, observation.task, image)
            if other is not None:
                self._values.append(float(mean_change(other, image)))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``changes_with_reference``.

        Raises:
            FacekitError: no results, or faces that came in one task only.
        """
        self._looks.require_all()
        protocol = {"difference": "mean absolute, pictures in [-1, 1]"}
        return (mean_measurement(NAME, self._values, unit="", better="higher", protocol=protocol),)


def build(options: NoOptions, context: BuildContext) -> ChangesWithReference:
    """Build the metric."""
    return ChangesWithReference()
