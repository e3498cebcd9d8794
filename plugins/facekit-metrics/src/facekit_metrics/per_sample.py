"""Means over pictures: what most metrics report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from facekit.interfaces import FacekitError, Measurement


def mean_measurement(
    name: str,
    values: Sequence[float],
    *,
    unit: str,
    better: Literal["higher", "lower"],
    protocol: Mapping[str, str],
) -> Measurement:
    """Return the mean of one value a picture as a measurement.

    The sum is exact (``math.fsum``), so it does not depend on the order of the pictures.

    Raises:
        FacekitError: there are no values.
    """
    if not values:
        raise FacekitError(
            f"{name} was given no results to measure", remedy="evaluate a split with faces that it can measure"
        )
    return Measurement(
        name=name,
        value=math.fsum(values) / len(values),
        unit=unit,
        better=better,
        protocol=dict(protocol),
        count=len(values),
        per_sample=tuple(values),
    )
