"""A plugin for facekit in one file.

    facekit run my_metric.yaml --plugin-file my_metric.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import GENERATED, IMAGE, BuildContext, Options, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl


class AbsoluteErrorOptions(Options):
    """Options of the metric."""

    levels: bool = True
    """Count in levels of 8 bits (0 to 255) instead of the images' own range [-1, 1]."""


def absolute_error_ports(options: AbsoluteErrorOptions, context: PortContext) -> Ports:
    """Compares the generated with the real image."""
    return Ports(needs=(IMAGE, GENERATED))


ABSOLUTE_ERROR = ComponentSpec(
    interface_version=1,
    kind="metric",
    id="my_metric/absolute_error",
    summary="Mean absolute difference between reconstruction and photo.",
    options=AbsoluteErrorOptions,
    factory="my_metric:build_metric",
    ports=absolute_error_ports,
    example={"levels": True},
)


def build_metric(options: AbsoluteErrorOptions, context: BuildContext) -> Any:
    """Build the metric from a recipe's options."""
    import math

    from facekit.interfaces import FacekitError, Measurement, Observation, Task

    class AbsoluteError:
        """Collects a value for each face; facekit makes intervals and paired tests of them."""

        def __init__(self, options: AbsoluteErrorOptions) -> None:
            self.scale = 127.5 if options.levels else 1.0
            self.values: list[float] = []

        @property
        def tasks(self) -> tuple[Task, ...]:
            """Faces from their own mask in their own style."""
            return ("reconstruction",)

        def update(self, observation: Observation) -> None:
            """Take in a batch."""
            difference = (observation.generated.image - observation.target).abs().double()
            self.values.extend((difference.mean((1, 2, 3)) * self.scale).tolist())

        def compute(self) -> tuple[Measurement, ...]:
            """Return the mean. Raises FacekitError when nothing was observed."""
            if not self.values:
                raise FacekitError("absolute_error was asked for a value before it saw an image")
            unit = "levels" if self.scale != 1 else ""
            return (
                Measurement(
                    name="absolute_error",
                    value=math.fsum(self.values) / len(self.values),
                    unit=unit,
                    better="lower",
                    protocol={"range": "0 to 255" if unit else "-1 to 1"},
                    count=len(self.values),
                    per_sample=tuple(self.values),
                ),
            )

    return AbsoluteError(options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [ABSOLUTE_ERROR]
