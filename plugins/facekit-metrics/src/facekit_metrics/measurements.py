"""Means over images and over regions: what most metrics report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from facekit.interfaces import FacekitError, LabelMap, Measurement, Task

from .options import MEAN, TaskChoice

SHOWN_OF_ALL = ("skin", "hair")
"""Regions that reports show unfolded where all are measured."""


class OneTask:
    """A metric over the results of one task, which the recipe chooses."""

    def __init__(self, choice: TaskChoice) -> None:
        self.choice = choice

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task whose results are measured."""
        return (self.choice.task,)

    @property
    def transfers(self) -> tuple[str, ...]:
        """The attributes whose transfer is measured."""
        return self.choice.transfers


def nothing_to_measure(name: str) -> FacekitError:
    """Return the error for a metric that has seen nothing."""
    return FacekitError(
        f"{name} was given no results to measure", remedy="evaluate a split with faces that it can measure"
    )


def mean_measurement(
    name: str,
    values: Sequence[float],
    *,
    better: Literal["higher", "lower"],
    protocol: Mapping[str, str],
    unit: str = "",
    detail: bool = False,
    none: bool = False,
) -> Measurement:
    """Return the mean of one value an image as a measurement.

    The sum is exact (``math.fsum``), so it does not depend on the order of the images.

    Args:
        name, better, protocol, unit, detail: those of the measurement.
        values: the values.
        none: report NaN and a count of 0 where there are no values.

    Raises:
        FacekitError: there are no values.
    """
    if not values and not none:
        raise nothing_to_measure(name)
    value = math.fsum(values) / len(values) if values else math.nan
    return Measurement(name, value, unit, better, protocol, len(values), tuple(values), detail)


@dataclass(frozen=True)
class Regions:
    """The regions that a metric looks at.

    Args:
        classes: class id by region name.
        shown: the regions whose measurements are no details; None where the recipe names regions: then none is, and one
            that no image shows is reported as such.
    """

    classes: Mapping[str, int]
    shown: tuple[str, ...] | None = None

    @staticmethod
    def chosen(regions: Literal["all"] | Iterable[str], label_map: LabelMap, *, metric: str) -> Regions:
        """Return the regions that the options of a metric ask for.

        Raises:
            FacekitError: a region is not in the label map.
        """
        everything = regions == "all"
        names = label_map.names if everything else tuple(regions)
        label_map.check_names(names, where=f"regions of {metric}")
        return Regions({name: label_map.id_of(name) for name in names}, SHOWN_OF_ALL if everything else None)

    def measurements(
        self, name: str, rows: Sequence[Sequence[float]], *, protocol: Mapping[str, str], **how: Any
    ) -> list[Measurement]:
        """Return the mean over regions, where there are several, and that of each region, those that are shown first.

        The first is the mean over images of an image's mean over the regions that it has a value for.

        Args:
            name: begins the names of the measurements.
            rows: for each image one value a region; NaN where it has none.
            protocol: of all of them.
            how: further arguments of :func:`mean_measurement`.
        """

        def measurement(part: str, what: str, values: list[float], **more: str) -> Measurement:
            said = {"region": f"{what}, each picture by its own mask", **protocol, **more}
            detail = part != MEAN and self.shown is not None and part not in self.shown
            return mean_measurement(f"{name}/{part}", values, protocol=said, detail=detail, none=True, **how)

        found = []
        if len(self.classes) > 1:
            kept = ([value for value in row if not math.isnan(value)] for row in rows)
            means = [math.fsum(row) / len(row) for row in kept if row]
            what = "mean of a result over its regions"
            found.append(measurement(MEAN, what, means, regions=", ".join(self.classes)))
        columns = dict(zip(self.classes, zip(*rows, strict=True), strict=True))
        for region in sorted(self.classes, key=lambda each: self.shown is not None and each not in self.shown):
            values = [value for value in columns[region] if not math.isnan(value)]
            if values or self.shown is None:
                found.append(measurement(region, f"{region} (class {self.classes[region]})", values))
        return found
