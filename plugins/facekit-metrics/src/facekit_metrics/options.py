"""The options of every metric in this plugin. Importing this module does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from facekit.interfaces import Options

from .task_options import FaceTaskOptions


def _no_name_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"a name occurs twice: {', '.join(names)}")
    return names


MEAN = "mean"
"""The part of a measurement's name that says that it is the mean over regions."""

Names = Annotated[tuple[str, ...], AfterValidator(_no_name_twice)]


class RegionOptions(Options):
    """Options of metrics that look at regions."""

    regions: Literal["all"] | tuple[str, ...] = "all"
    """Classes of the label map, each measured on its own, and their mean. With `all` every class that result and
    reference both show; reports fold all but the mean, skin and hair."""
    smallest_share: float = Field(1 / 512, gt=0, lt=1)
    """Smallest share of the picture that a region must cover to have a colour."""

    @field_validator("regions")
    @classmethod
    def _at_least_one(cls, regions: Literal["all"] | tuple[str, ...]) -> Literal["all"] | tuple[str, ...]:
        if not regions or (regions != "all" and len(set(regions)) != len(regions)):
            raise ValueError("regions must name at least one class, and none twice, or be `all`")
        if MEAN in regions:
            raise ValueError(f"a region cannot be {MEAN!r}: that is the mean over the regions")
        return regions


class StyleFollowingOptions(RegionOptions):
    """Options of ``style_following``."""


class StyleConsistencyOptions(RegionOptions, FaceTaskOptions):
    """Options of ``style_consistency``."""


class PsnrOutsideEditOptions(FaceTaskOptions):
    """Options of ``psnr_outside_edit``."""

    reach: float = Field(1 / 32, ge=0, lt=1)
    """How far the edit is widened, as a share of the picture's side."""


class PerceptualDistanceOptions(Options):
    """Options of ``perceptual_distance`` and ``diversity``."""

    backbone: Literal["efficientnet_lite0", "squeezenet", "stlpips"] = "efficientnet_lite0"
    """Network whose features are compared; it is part of the measurement's name. `squeezenet` is in no loss, and needs
    the extra `squeezenet`. `stlpips` is ST-LPIPS, a distance learned from people's outputs that a shift by a pixel
    hardly moves; it needs the extra `stlpips`."""
    weights: str | None = None
    """Weight file of the backbone, in place of the one in its package."""


class AttributeAccuracyOptions(Options):
    """Options of ``attribute_accuracy``."""

    evaluator: str = "auto"
    """The classifier: its id as `facekit evaluator ls` shows it, its folder, or ``auto``: the newest for this data."""
    attributes: Names = ()
    """The attributes that are measured; all that the data has and the classifier tells when empty."""
    transfer: Names = ("Smiling", "Mouth_Slightly_Open")
    """The attributes whose transfer is measured; empty for none."""


class SegmentationAccuracyOptions(Options):
    """Options of ``segmentation_accuracy``."""

    evaluator: str = "auto"
    """The segmenter: its id as `facekit evaluator ls` shows it, its folder, or ``auto``: the newest for this data."""
    tasks: Annotated[
        tuple[Literal["reconstruction", "style_copy", "attribute_transfer"], ...],
        Field(min_length=1),
        AfterValidator(_no_name_twice),
    ] = ("reconstruction",)
    """The tasks whose results are measured, each apart."""
    transfer: Names = ("Smiling", "Mouth_Slightly_Open")
    """The attributes whose transfer ``attribute_transfer`` is about."""

    @field_validator("transfer")
    @classmethod
    def _at_least_one_attribute(cls, transfer: tuple[str, ...]) -> tuple[str, ...]:
        if not transfer:
            raise ValueError("transfer must name at least one attribute; to measure none, take the task out of tasks")
        return transfer
