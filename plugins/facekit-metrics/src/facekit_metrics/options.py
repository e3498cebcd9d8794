"""The options of every metric in this plugin. Importing this module does not import torch."""

from __future__ import annotations

from pydantic import Field, field_validator

from facekit.interfaces import Options

from .task_options import TaskOptions


class RegionOptions(Options):
    """Options of metrics that look at regions."""

    regions: tuple[str, ...] = ("skin", "hair")
    """Classes of the label map, each measured on its own."""
    smallest_share: float = Field(1 / 512, gt=0, lt=1)
    """Smallest share of the picture that a region must cover to have a colour."""

    @field_validator("regions")
    @classmethod
    def _at_least_one(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if not regions or len(set(regions)) != len(regions):
            raise ValueError("regions must name at least one class, and none twice")
        return regions


class StyleFollowingOptions(RegionOptions):
    """Options of ``style_following``."""


class StyleConsistencyOptions(RegionOptions, TaskOptions):
    """Options of ``style_consistency``."""


class PsnrOutsideEditOptions(TaskOptions):
    """Options of ``psnr_outside_edit``."""

    reach: float = Field(1 / 32, ge=0, lt=1)
    """How far the edit is widened, as a share of the picture's side."""


class PerceptualDistanceOptions(Options):
    """Options of ``perceptual_distance`` and ``diversity``."""

    weights: str | None = None
    """Weight file of EfficientNet-Lite0, in place of the one in its package."""
