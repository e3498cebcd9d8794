"""Which results a metric looks at. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import model_validator

from facekit.interfaces import BuildContext, FacekitError, Observation, Options, Task, did_you_mean


@dataclass(frozen=True)
class TaskChoice:
    """The results of one task.

    Args:
        task: which.
        transfers: for ``attribute_transfer``: the attributes whose transfer is looked at, all together.
    """

    task: Task
    transfers: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task, as metrics say it."""
        return (self.task,)

    @property
    def name(self) -> str:
        """The task's part in a measurement's name: ``style_copy``, ``attribute_transfer/Smiling+Male``."""
        return f"{self.task}/{'+'.join(self.transfers)}" if self.transfers else self.task

    def results(self, faces: int) -> int:
        """Return how many results there will be of so many evaluated faces."""
        return faces * max(1, len(self.transfers))

    @staticmethod
    def identity(observation: Observation, index: int) -> tuple[str, str, str]:
        """Return what tells a result from all others of the task: attribute, look and mask."""
        return observation.attribute, observation.reference_keys[index], observation.keys[index]


class TaskOptions(Options):
    """Options of metrics that look at one task of the user's choice."""

    usual: ClassVar[tuple[Task, ...]] = ("style_copy", "generation")
    """The first of these that the model can do is measured where the recipe names no task."""

    task: Task | None = None
    """The task whose results are measured. By default `style_copy`, and `generation` of a model from noise alone."""
    transfer: tuple[str, ...] = ()
    """With `attribute_transfer`: the attributes whose transfer is measured, all together."""

    @model_validator(mode="after")
    def _transfers_fit(self) -> TaskOptions:
        if (self.task == "attribute_transfer") != bool(self.transfer):
            raise ValueError("transfer names attributes if task is attribute_transfer, and only then")
        if len(set(self.transfer)) != len(self.transfer):
            raise ValueError("transfer names no attribute twice")
        return self

    def choice(self, context: BuildContext) -> TaskChoice:
        """Return the choice, which follows the model where no task is named.

        Raises:
            FacekitError: the data does not have an attribute.
        """
        for attribute in self.transfer:
            if attribute not in context.attribute_names:
                known = context.attribute_names
                raise FacekitError(
                    f"the data has no attribute {attribute!r} to transfer",
                    where="metrics",
                    remedy=did_you_mean(attribute, known) or f"it has {', '.join(known) or 'none'}",
                )
        return TaskChoice(self.task or context.first_task(*self.usual), self.transfer)


class FaceTaskOptions(TaskOptions):
    """Options of metrics that look at one task of the user's choice in which results belong to test faces."""

    usual: ClassVar[tuple[Task, ...]] = ("style_copy",)

    @model_validator(mode="after")
    def _about_faces(self) -> FaceTaskOptions:
        if self.task == "generation":
            raise ValueError("task cannot be generation: this metric compares results with the faces they belong to")
        return self
