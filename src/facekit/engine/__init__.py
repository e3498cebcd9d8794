"""The engine room: the training loop and all it needs. Importing it imports torch and changes nothing."""

from facekit.engine.loop import RunResult, train
from facekit.engine.model import FaceModel, LoadedModel, build_model, count_parameters, load_model
from facekit.engine.run_folder import RunFolder

__all__ = [
    "FaceModel",
    "LoadedModel",
    "RunFolder",
    "RunResult",
    "build_model",
    "count_parameters",
    "load_model",
    "train",
]
