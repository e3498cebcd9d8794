"""The options of evaluators and of the photos they learn from, and what the parts of their recipes give each other.

Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facekit.interfaces import Options, Port

FACE_SEGMENTER, ATTRIBUTE_CLASSIFIER = "face_segmenter", "attribute_classifier"
"""The names of the networks in recipes."""

SEGMENTER_LOGITS = Port("segmenter.logits", ("batch", "classes", "half", "half"))
CLASSIFIER_LOGITS = Port("classifier.logits", ("batch", "attributes"))

MASK_LOGITS, ATTRIBUTE_LOGITS = "logits", "attribute_logits"
"""The names of the maps that samplers give beside the image."""

MASK_MAP = Port(f"generated.{MASK_LOGITS}", ("batch", "classes", "size", "size"))
ATTRIBUTE_MAP = Port(f"generated.{ATTRIBUTE_LOGITS}", ("batch", "attributes"))

KNOWN = "attributes_known"
"""The port that says which attributes a photo's dataset has (1), and which are not to be learned from it (0)."""

Scalar = str | int | float | bool
Setting = Scalar | list[Scalar] | dict[str, Scalar | list[Scalar] | None] | None
"""The value of a dataset's option, which the dataset itself checks."""

NEWEST, AUTO = "newest", "auto"


class SegmenterOptions(Options):
    """Options of ``metrics/segmenter``."""

    evaluator: str = NEWEST
    """Which trained segmenter: its id as `facekit evaluator ls` shows it, the folder of one, or ``newest``."""
    label_map: str | None = None
    """Only take one for this label map."""


class EvaluatorPhotosOptions(Options):
    """Options of ``metrics/evaluator_photos``."""

    of: Annotated[tuple[dict[str, Setting], ...], Field(min_length=1)]
    """The datasets, each with its ``use:`` and options. Those after the first need attributes, and may lack some of
    them."""
    splits: Annotated[tuple[Literal["train", "extra"], ...], Field(min_length=1)] = ("train", "extra")
    """The splits whose photos it learns from; never those that results are measured on."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the photos that it does not learn from, when the first dataset has no ``validation`` split."""
    attributes: tuple[str, ...] | None = None
    """The attributes, in this order; all that the first dataset has when left out."""
