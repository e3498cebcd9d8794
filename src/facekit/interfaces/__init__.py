"""The words everything in facekit speaks. Importing this package does not import torch."""

from facekit.interfaces.containers import Condition, FaceBatch, Generated, Judgement, ScaleJudgement, Style
from facekit.interfaces.data import SPLITS, FaceDataset, FaceSample, Finding
from facekit.interfaces.errors import FacekitError, RunFailure, did_you_mean, nearest
from facekit.interfaces.events import (
    CheckpointSaved,
    Evaluated,
    RunEvent,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)
from facekit.interfaces.labels import LabelClass, LabelMap
from facekit.interfaces.metric import Measurement, Metric, Observation, Task, TransferMetric
from facekit.interfaces.model import (
    Discriminator,
    Generator,
    Loss,
    Player,
    Recomputable,
    Recompute,
    Step,
    StyleEncoder,
    UpdatedEarly,
)
from facekit.interfaces.options import BuildContext, DatasetContext, NoOptions, Options
from facekit.interfaces.photos import EVALUATED, PhotoSource, RealPhotos
from facekit.interfaces.places import cache_folder
from facekit.interfaces.ports import (
    ATTRIBUTES,
    GENERATED,
    IMAGE,
    JUDGEMENT,
    JUDGEMENT_CLASS_LOGITS,
    JUDGEMENT_FEATURES,
    MASK,
    STYLE,
    Port,
    PortContext,
    Ports,
)
from facekit.interfaces.read_only import ReadOnlyDict, plain_data, read_only
from facekit.interfaces.seeing import LANDMARKS, DetectedFace, FaceDetector, Segmenter
from facekit.interfaces.training import MakeOptimiser, Schedule, TrainingContext

INTERFACE_VERSION = 1
"""The version of the interfaces in this package; a component states the one it was written for."""

__all__ = [
    "ATTRIBUTES",
    "EVALUATED",
    "GENERATED",
    "IMAGE",
    "INTERFACE_VERSION",
    "JUDGEMENT",
    "JUDGEMENT_CLASS_LOGITS",
    "JUDGEMENT_FEATURES",
    "LANDMARKS",
    "MASK",
    "SPLITS",
    "STYLE",
    "BuildContext",
    "CheckpointSaved",
    "Condition",
    "DatasetContext",
    "DetectedFace",
    "Discriminator",
    "Evaluated",
    "FaceBatch",
    "FaceDataset",
    "FaceDetector",
    "FaceSample",
    "FacekitError",
    "Finding",
    "Generated",
    "Generator",
    "Judgement",
    "LabelClass",
    "LabelMap",
    "Loss",
    "MakeOptimiser",
    "Measurement",
    "Metric",
    "NoOptions",
    "Observation",
    "Options",
    "PhotoSource",
    "Player",
    "Port",
    "PortContext",
    "Ports",
    "ReadOnlyDict",
    "RealPhotos",
    "Recomputable",
    "Recompute",
    "RunEvent",
    "RunFailure",
    "RunFinished",
    "RunStarted",
    "SamplesSaved",
    "ScaleJudgement",
    "Schedule",
    "Segmenter",
    "Step",
    "StepLogged",
    "Style",
    "StyleEncoder",
    "Task",
    "TrainingContext",
    "TransferMetric",
    "UpdatedEarly",
    "Warned",
    "cache_folder",
    "did_you_mean",
    "nearest",
    "plain_data",
    "read_only",
]
