"""The options of the detector."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facekit.interfaces import Options

Probability = Annotated[float, Field(gt=0, lt=1)]


class MtcnnOptions(Options):
    """Options of ``mtcnn/mtcnn``."""

    smallest_face: Annotated[float, Field(gt=0.01, le=1)] = 0.08
    """The smallest face that is looked for, as a share of the photo's shorter side."""
    thresholds: tuple[Probability, Probability, Probability] = (0.6, 0.7, 0.8)
    """How sure each of the three networks must be, from 0 to 1."""
    largest_side: Annotated[int, Field(ge=128, le=8192)] = 1024
    """Larger photos are searched at this size; landmarks are given in the photo's own pixels."""
