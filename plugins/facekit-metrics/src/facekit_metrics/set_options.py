"""The options of metrics that compare sets of pictures. Importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facekit.interfaces import EVALUATED

from .task_options import TaskOptions


class SetOptions(TaskOptions):
    """Options that they share."""

    real: str = EVALUATED
    """Split of the real photos; `evaluated` for those of the evaluated faces."""
    weights: str | None = None
    """Weight file of the extractor, in place of the one in its package or the usual caches."""


class FidOptions(SetOptions):
    """Options of ``fid``."""

    allow_few_pictures: bool = False
    """Measure although there are fewer pictures than the 2,048 features, which makes the value too large."""


class ExtractorOptions(SetOptions):
    """Options of metrics over any extractor."""

    extractor: Literal["efficientnet_lite0", "inception", "squeezenet"] = "efficientnet_lite0"
    """Network whose features are compared; it is part of the measurement's name."""


class FrechetDistanceOptions(ExtractorOptions):
    """Options of ``frechet_distance``."""

    allow_few_pictures: bool = False
    """Measure although there are fewer pictures than features, which makes the value too large."""


class KidOptions(ExtractorOptions):
    """Options of ``kid``."""

    subsets: int = Field(100, ge=2)
    """How many random subsets are compared."""
    subset_size: int | None = Field(None, ge=2)
    """Pictures in a subset; by default 1,000, or half of the smaller set where that is less."""


class PrecisionRecallOptions(ExtractorOptions):
    """Options of ``precision_recall``."""

    k: int = Field(3, ge=1)
    """Which neighbour bounds the ball around a picture."""


class DensityCoverageOptions(ExtractorOptions):
    """Options of ``density_coverage``."""

    k: int = Field(5, ge=1)
    """Which neighbour bounds the ball around a real photo."""


class NearestTrainingNeighbourOptions(TaskOptions):
    """Options of ``nearest_training_neighbour``."""

    training: str = "train"
    """Split of the photos that may have been memorised."""
    extractor: Literal["efficientnet_lite0", "inception", "squeezenet"] = "efficientnet_lite0"
    """Network whose features are compared; it is part of the measurement's name."""
    weights: str | None = None
    """Weight file of the extractor, in place of the one in its package or the usual caches."""
