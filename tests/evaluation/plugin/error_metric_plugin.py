"""A plugin in one file: a metric that keeps what it was shown."""

from __future__ import annotations

from facekit.interfaces import BuildContext, Measurement, NoOptions, Observation, Task
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


def build(options: NoOptions, context: BuildContext) -> MeanError:
    return MeanError()


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="test/error",
            summary="error",
            options=NoOptions,
            factory="error_metric_plugin:build",
        )
    ]
