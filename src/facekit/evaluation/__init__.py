"""The evaluation room: tasks, protocols, the runner, and baselines that need no training.

Importing this package does not import torch; what needs it does when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facekit.evaluation.results import (
    BASELINE_NAMES,
    EvaluationResult,
    PaintedFace,
    bootstrap_interval,
    common_fields,
    measurement_id,
    protocol_id,
)
from facekit.evaluation.store import Asked, StoredEvaluation, read_evaluation, write_evaluation
from facekit.evaluation.tasks import TaskPairs, task_pairs, transfer_pairs

if TYPE_CHECKING:
    from facekit.evaluation.baselines import BASELINES, CopyReference, MeanColourPerRegion, NearestTrainingPhoto
    from facekit.evaluation.runner import EvaluationProgress, System, TargetPhotos, evaluate
    from facekit.evaluation.runs import build_metrics, check_metrics, evaluate_baseline, evaluate_run, validator

_NEED_TORCH = ("runner", "baselines", "runs")

__all__ = [
    "Asked",
    "BASELINES",
    "BASELINE_NAMES",
    "CopyReference",
    "EvaluationProgress",
    "EvaluationResult",
    "MeanColourPerRegion",
    "NearestTrainingPhoto",
    "PaintedFace",
    "StoredEvaluation",
    "System",
    "TargetPhotos",
    "TaskPairs",
    "bootstrap_interval",
    "build_metrics",
    "check_metrics",
    "common_fields",
    "evaluate",
    "evaluate_baseline",
    "evaluate_run",
    "measurement_id",
    "protocol_id",
    "read_evaluation",
    "task_pairs",
    "transfer_pairs",
    "validator",
    "write_evaluation",
]


def __getattr__(name: str) -> Any:
    modules = (import_module(f"facekit.evaluation.{module}") for module in _NEED_TORCH if name in __all__)
    for module in modules:
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module 'facekit.evaluation' has no attribute {name!r}")
