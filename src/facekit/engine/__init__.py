"""The engine room: the training loop and all it needs.

Importing the package imports no torch; what needs it is imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facekit.engine.run_folder import RunFolder

if TYPE_CHECKING:
    from facekit.engine.loop import train
    from facekit.engine.model import LoadedModel, load_model
    from facekit.engine.networks import FaceModel, build_model, count_parameters
    from facekit.engine.probe import MemoryEstimate, ShapeProbe, estimate_memory, probe_shapes
    from facekit.engine.run_result import RunResult
    from facekit.engine.trial import StepProbe, probe_steps

_MODULES = {
    "RunResult": "run_result",
    "train": "loop",
    "FaceModel": "networks",
    "LoadedModel": "model",
    "build_model": "networks",
    "count_parameters": "networks",
    "load_model": "model",
    "MemoryEstimate": "probe",
    "ShapeProbe": "probe",
    "StepProbe": "trial",
    "estimate_memory": "probe",
    "probe_shapes": "probe",
    "probe_steps": "trial",
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
        return getattr(import_module(f"facekit.engine.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'facekit.engine' has no attribute {name!r}")
