"""What tuning to a photo can be told. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from facekit.interfaces import Options

METHOD = 1
"""Version of the method: raise it with every change that gives other numbers, so that nothing old is taken from the
cache, and results of folders are made again."""

DEFAULT_STEPS = 60
"""Steps where nobody says how many."""

MOST_STEPS = 2000
"""Most steps; a face is learnt by heart long before."""

TuningProgress = Callable[[int, int], None]
"""Told after each step how many are done, and of how many. What it raises ends the tuning, and nothing is kept."""


class TuningOptions(Options):
    """How a run is tuned to a photo."""

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = DEFAULT_STEPS
    """Updates. Steps and not seconds, so that the result does not depend on the machine's speed."""
    rank: Annotated[int, Field(ge=1, le=64)] = 4
    """Rank of the change of each weight of the generator."""
    locality: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of the term that keeps other masks and styles as they were; 0 leaves it out."""
