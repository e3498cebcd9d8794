"""Regions by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from facekit.interfaces import FacekitError, LabelMap, did_you_mean

ALL: Literal["all"] = "all"

SHOWN_OF_ALL = ("skin", "hair")
"""Regions that reports show unfolded where all are measured."""


@dataclass(frozen=True)
class Regions:
    """The regions that a metric looks at.

    Args:
        classes: class id by region name.
        shown: the regions whose measurements are no details; None where the recipe names regions: then none is, and one
            that no picture shows is reported as such.
    """

    classes: Mapping[str, int]
    shown: tuple[str, ...] | None = None

    @property
    def in_order(self) -> list[str]:
        """Return the names, those that are shown first."""
        return sorted(self.classes, key=lambda name: self.is_detail(name))

    def is_detail(self, name: str) -> bool:
        """Return whether a region's measurement stands behind the others."""
        return self.shown is not None and name not in self.shown

    def is_reported(self, name: str, count: int) -> bool:
        """Return whether a region that so many results show has a measurement."""
        return count > 0 or self.shown is None


def chosen_regions(regions: Literal["all"] | tuple[str, ...], label_map: LabelMap, *, metric: str) -> Regions:
    """Return the regions that a metric's options ask for.

    Args:
        regions: names of classes, or ``all``.
        label_map: that of the data.
        metric: who asks, for the error.

    Raises:
        FacekitError: a region is not in the label map.
    """
    if regions == ALL:
        return Regions(classes_of(label_map.names, label_map, metric=metric), SHOWN_OF_ALL)
    return Regions(classes_of(regions, label_map, metric=metric))


def classes_of(regions: Iterable[str], label_map: LabelMap, *, metric: str) -> dict[str, int]:
    """Return the class id of each region.

    Args:
        regions: names of classes.
        label_map: that of the data.
        metric: who asks, for the error.

    Raises:
        FacekitError: a region is not in the label map.
    """
    for region in regions:
        if region not in label_map.names:
            raise FacekitError(
                f"{metric} measures a region {region!r}, which the label map does not have",
                remedy=did_you_mean(region, label_map.names) or f"classes: {', '.join(label_map.names)}",
            )
    return {region: label_map.id_of(region) for region in regions}
