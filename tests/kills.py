"""Kills that tests make inside a process, and what they compare after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from facekit.interfaces import RunEvent, StepLogged
from facekit.training.run.folder import RunFolder, step_name


class Killed(BaseException):
    """Stands for a kill: it passes through everything without a chance to tidy up what is on disk."""


def kill_after(step: int) -> Callable[[RunEvent], None]:
    """Return an observer that kills the run at a step, or after it where that step is not logged."""

    def observe(event: RunEvent) -> None:
        if isinstance(event, StepLogged) and event.step >= step:
            raise Killed

    return observe


def tensors_of(run: Path, step: int) -> dict[str, Tensor]:
    """Return every tensor of a checkpoint, by ``FILE:NAME``."""
    folder = RunFolder(run).checkpoints / step_name(step)
    return {
        f"{file.name}:{name}": tensor
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }
