"""A plugin in one file: a metric that keeps what it was shown."""

from __future__ import annotations

from facekit.interfaces import (
    EVALUATED,
    MASK,
    BuildContext,
    Measurement,
    NoOptions,
    Observation,
    Options,
    PortContext,
    Ports,
    RealPhotos,
    Task,
)
from facekit.registry import ComponentSpec, hookimpl


class MeanError:
    """Mean absolute error of a task, one value a face; remembers what it was shown."""

    def __init__(self, task: Task = "reconstruction", name: str = "error") -> None:
        self.tasks: tuple[Task, ...] = (task,)
        self.name = name
        self.seen: list[Observation] = []

    def update(self, observation: Observation) -> None:
        self.seen.append(observation)

    def compute(self) -> tuple[Measurement, ...]:
        errors = [
            float(value)
            for each in self.seen
            for value in (each.generated.image - each.target).abs().double().mean((1, 2, 3))
        ]
        mean = sum(errors) / len(errors)
        return (Measurement(self.name, mean, "", "lower", {"difference": "L1"}, len(errors), tuple(errors)),)


class ErrorOptions(Options):
    task: Task | None = None
    """Of which task."""


def build(options: ErrorOptions, context: BuildContext) -> MeanError:
    return MeanError(options.task or context.first_task("reconstruction", "generation"))


def build_reconstruction(options: NoOptions, context: BuildContext) -> MeanError:
    return MeanError(name="reconstruction_error")


def _by_masks(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(MASK,))


class PhotosOptions(Options):
    split: str = EVALUATED
    """Whose photos."""


class PhotosRead:
    """How many real photos it was given, and read."""

    tasks: tuple[Task, ...] = ("reconstruction",)

    def __init__(self, photos: RealPhotos) -> None:
        self.photos = photos

    def update(self, observation: Observation) -> None:
        """Look at nothing."""

    def compute(self) -> tuple[Measurement, ...]:
        read = float(len(self.photos.read()))
        return (Measurement("photos_read", read, "", "higher", {"split": self.photos.split}, len(self.photos)),)


def build_photos(options: PhotosOptions, context: BuildContext) -> PhotosRead:
    return PhotosRead(context.real_photos(options.split))


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="test/error",
            summary="error",
            options=ErrorOptions,
            factory="error_metric_plugin:build",
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="test/reconstruction_error",
            summary="error by masks",
            options=NoOptions,
            factory="error_metric_plugin:build_reconstruction",
            ports=_by_masks,
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="test/photos_read",
            summary="photos read",
            options=PhotosOptions,
            factory="error_metric_plugin:build_photos",
        ),
    ]
