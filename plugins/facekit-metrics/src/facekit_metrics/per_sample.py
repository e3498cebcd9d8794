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
    detail: bool = False,
) -> Measurement:
    """Return the mean of one value a picture as a measurement; ``detail`` says that it stands behind others.

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
        detail=detail,
    )


def mean_or_nothing(
    name: str,
    values: Sequence[float],
    *,
    unit: str,
    better: Literal["higher", "lower"],
    protocol: Mapping[str, str],
    detail: bool = False,
) -> Measurement:
    """Return the mean of one value a picture; NaN and a count of 0 where there is none."""
    if not values:
        return Measurement(name, math.nan, unit, better, protocol, detail=detail)
    return mean_measurement(name, values, unit=unit, better=better, protocol=protocol, detail=detail)


def means_of_rows(rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each row's values that are no NaN, such as those of its regions; rows of NaN are left out."""
    kept = ([value for value in row if not math.isnan(value)] for row in rows)
    return [math.fsum(row) / len(row) for row in kept if row]
