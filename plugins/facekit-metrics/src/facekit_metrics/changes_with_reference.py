"""How much results change when another photo gives the look: zero says that the style path is dead."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, NoOptions, Observation, Task

from .per_sample import mean_measurement

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
    """The mean absolute difference between the result in a face's own look and the one in another face's look.

    It sees both tasks and pairs results by the key of their target face; the first to come is kept until the other
    does, so a runner that alternates tasks keeps few.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Task, Tensor]] = {}
        self._values: list[float] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Both."""
        return ("reconstruction", "style_copy")

    def update(self, observation: Observation) -> None:
        """Take in a batch of either task.

        Raises:
            FacekitError: a face comes twice in the same task.
        """
        images = observation.generated.image.cpu()
        for index, key in enumerate(observation.keys):
            task, image = self._waiting.pop(key, (None, None))
            if image is None:
                self._waiting[key] = (observation.task, images[index : index + 1])
            elif task == observation.task:
                raise FacekitError(f"{NAME} saw face {key!r} twice in the task {task}")
            else:
                self._values.append(float(mean_change(image, images[index : index + 1])))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``changes_with_reference``.

        Raises:
            FacekitError: no results, or faces that came in one task only.
        """
        if self._waiting:
            raise FacekitError(
                f"{NAME} saw {len(self._waiting)} faces in one task only",
                remedy="evaluate reconstruction and style_copy on the same faces",
            )
        protocol = {"difference": "mean absolute, pictures in [-1, 1]"}
        return (mean_measurement(NAME, self._values, unit="", better="higher", protocol=protocol),)


def build(options: NoOptions, context: BuildContext) -> ChangesWithReference:
    """Build the metric."""
    return ChangesWithReference()
