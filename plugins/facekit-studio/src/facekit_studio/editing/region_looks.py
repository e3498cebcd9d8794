"""Looks of single regions: whose styles are mixed, and which pixels that changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from facekit.inference.given import check_shows
from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import STYLE_ENCODER, FacekitError, PortContext, Style
from facekit.interfaces import Reference as PhotoReference
from facekit_studio.editing.script.masks import Ids, Pixels


def mixes_regions(pipeline: FacePipeline) -> bool:
    """Whether a run has a style for each region, by the shape that its style encoder says."""
    encoder = pipeline.recipe.model.networks.get(STYLE_ENCODER)
    given = () if encoder is None else encoder.choice.ports(PortContext(pipeline.size)).gives
    return any(port.name == "style" and "classes" in port.shape for port in given)


def mixed(
    pipeline: FacePipeline,
    style: Style | PhotoReference,
    other: Style | PhotoReference,
    regions: Sequence[str],
    *,
    shown: Ids,
    where: str,
) -> Style:
    """Return a style with the regions of a look from another one.

    Args:
        pipeline: the run.
        style: the style of everything else.
        other: the style of the regions.
        regions: their names.
        shown: the mask of the photo of ``other``.
        where: what to call that photo.

    Raises:
        FacekitError: the run generates from references themselves, its style has no codes of regions, its label map
            lacks a region, or the photo does not show it.
    """
    if not isinstance(style, Style) or not isinstance(other, Style):
        raise FacekitError(
            "this run reads references without a style encoder of its own, so regions cannot be mixed",
            where=str(pipeline.run),
            remedy="give a reference without `regions`",
        )
    if style.axis != "regions":
        raise FacekitError(
            "this run has no style of its own for each region, so regions cannot be mixed",
            where=str(pipeline.run),
            remedy="give a reference without `regions`",
        )
    for name, number in zip(regions, pipeline.networks.regions(regions), strict=True):
        check_shows(name, bool((shown == number).any()), where=where)
    return pipeline.networks.mix(style, other, regions)


def repainted(pipeline: FacePipeline, before: Ids, after: Ids, looks: Iterable[Sequence[str]]) -> Pixels:
    """Return the pixels that looks change: all, or those of their regions before and after the edit.

    Args:
        pipeline: the run.
        before: the mask before the edit.
        after: the mask after it, of the same size.
        looks: the regions of each look, none for one of all regions; where there are no looks, no pixel changes.
    """
    changed = np.zeros(after.shape, dtype=bool)
    for regions in looks:
        if not regions:
            return ~np.zeros(after.shape, dtype=bool)
        numbers = pipeline.networks.regions(regions)
        changed |= np.isin(after, numbers) | np.isin(before, numbers)
    return changed
