"""Training: the loop and all it needs.

Importing the package imports no torch; what needs it is imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facekit.training.run.folder import RunFolder

if TYPE_CHECKING:
    from facekit.training.check.dry_run import StepProbe, probe_steps
    from facekit.training.check.shape_check import MemoryEstimate, ShapeProbe, estimate_memory, probe_shapes
    from facekit.training.loop import train
    from facekit.training.networks import FaceModel, LoadedModel, build_model, count_parameters, load_model
    from facekit.training.run.event_log import RunResult

_MODULES = {
    "RunResult": "run.event_log",
    "train": "loop",
    "FaceModel": "networks",
    "LoadedModel": "networks",
    "build_model": "networks",
    "count_parameters": "networks",
    "load_model": "networks",
    "MemoryEstimate": "check.shape_check",
    "ShapeProbe": "check.shape_check",
    "StepProbe": "check.dry_run",
    "estimate_memory": "check.shape_check",
    "probe_shapes": "check.shape_check",
    "probe_steps": "check.dry_run",
}

__all__ = [
    "FaceModel",
    "LoadedModel",
    "MemoryEstimate",
    "RunFolder",
    "RunResult",
    "ShapeProbe",
    "StepProbe",
    "build_model",
    "count_parameters",
    "estimate_memory",
    "load_model",
    "probe_shapes",
    "probe_steps",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"facekit.training.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'facekit.training' has no attribute {name!r}")
