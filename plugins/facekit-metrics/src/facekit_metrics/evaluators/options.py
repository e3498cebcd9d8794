"""The options of evaluators, and the settings they are trained with. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facekit.interfaces import Options

NEWEST, AUTO = "newest", "auto"


class SegmenterOptions(Options):
    """Options of ``metrics/segmenter``."""

    evaluator: str = NEWEST
    """Which trained segmenter: its id as `facekit evaluator ls` shows it, the folder of one, or ``newest``."""
    label_map: str | None = None
    """Only take one for this label map."""


class EvaluatorSettings(Options):
    """How evaluators of either kind are trained."""

    size: Annotated[int, Field(ge=64, le=1024, multiple_of=32)] = 128
    """Pictures are resized to this side before the network sees them."""
    batch: Annotated[int, Field(ge=1)] = 8
    """Photos an update."""
    epochs: Annotated[int, Field(ge=1)] = 40
    """Passes over the photos."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate of the new layers; the encoder, which knows ImageNet, takes three tenths of it."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Of AdamW."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Share of the average that stays at each update."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the photos that it does not learn from, when the dataset has no ``validation`` split."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the new layers' first weights, the order of photos and their variations."""


class SegmenterSettings(EvaluatorSettings):
    """How a segmenter is trained."""

    splits: Annotated[tuple[Literal["train", "extra"], ...], Field(min_length=1)] = ("extra",)
    """The splits whose photos it learns from; never those that results are measured on."""
    size: Annotated[int, Field(ge=64, le=1024, multiple_of=32)] = 256
    """Pictures are resized to this side before the network sees them."""


class ClassifierSettings(EvaluatorSettings):
    """How an attribute classifier is trained."""

    splits: Annotated[tuple[Literal["train", "extra"], ...], Field(min_length=1)] = ("train", "extra")
    """The splits whose photos it learns from; never those that results are measured on."""
    attributes: tuple[str, ...] = ()
    """The attributes it learns; all that the (first) dataset has when empty."""
    epochs: Annotated[int, Field(ge=1)] = 12
    """Passes over the photos."""
