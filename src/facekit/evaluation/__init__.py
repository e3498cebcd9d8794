"""The evaluation room: tasks, protocols, the runner, and baselines that need no training.

Importing this package does not import torch; what needs it does when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facekit.evaluation.baseline_names import BASELINE_NAMES
from facekit.evaluation.results import (
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

_NEEDS_TORCH = {
    "BASELINES": "baselines",
    "CopyReference": "baselines",
    "EvaluationProgress": "runner",
    "MeanColourPerRegion": "baselines",
    "NearestTrainingPhoto": "baselines",
    "System": "runner",
    "TargetPhotos": "runner",
    "build_metrics": "runs",
    "check_metrics": "runs",
    "evaluate": "runner",
    "evaluate_baseline": "runs",
    "evaluate_run": "runs",
    "validator": "runs",
}

__all__ = [
    "BASELINES",
    "BASELINE_NAMES",
    "Asked",
    "CopyReference",
    "EvaluationProgress",
    "EvaluationResult",
    "MeanColourPerRegion",
    "NearestTrainingPhoto",
    "PaintedFace",
    "System",
    "StoredEvaluation",
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
    if name in _NEEDS_TORCH:
        from importlib import import_module

        return getattr(import_module(f"facekit.evaluation.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module 'facekit.evaluation' has no attribute {name!r}")
