"""Regions by name."""

from __future__ import annotations

from collections.abc import Iterable

from facekit.interfaces import FacekitError, LabelMap, did_you_mean


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
