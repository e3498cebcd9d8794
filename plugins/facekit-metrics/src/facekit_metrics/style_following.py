"""Style following: does a result take its colours from the reference it was given?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task

from .lab import lab
from .options import MEAN, StyleFollowingOptions
from .per_sample import mean_or_nothing, means_of_rows
from .regions import Regions, chosen_regions


def region_lab_means(image: Tensor, mask: Tensor, *, classes: tuple[int, ...], smallest_share: float) -> Tensor:
    """Return the mean Lab colour of regions.

    Args:
        image: pictures (N, 3, H, W) in [-1, 1].
        mask: their class ids (N, H, W).
        classes: ids of the regions, R of them.
        smallest_share: smallest share of the picture that a region must cover.

    Returns:
        (N, R, 3) float64; NaN where a region is smaller than that.

    Raises:
        ValueError: pictures and masks differ in size.
    """
    if image.shape[0] != mask.shape[0] or image.shape[-2:] != mask.shape[-2:]:
        raise ValueError(f"pictures of shape {tuple(image.shape)} do not fit masks of shape {tuple(mask.shape)}")
    colours = lab(image).flatten(2)
    ids = torch.tensor(classes, device=mask.device)
    member = (mask.flatten(1).unsqueeze(1) == ids.view(1, -1, 1)).double()
    counts = member.sum(2)
    means = (member @ colours.transpose(1, 2)) / counts.clamp_min(1).unsqueeze(-1)
    large_enough = counts >= max(1.0, smallest_share * mask[0].numel())
    return means.masked_fill(~large_enough.unsqueeze(-1), float("nan"))


def following_share(result: Tensor, own: Tensor, thirds: Tensor) -> float:
    """Return the share of third photos whose colour is farther from the result's than the own reference's is.

    Args:
        result: Lab colour of a region in the result, (3,).
        own: that of its reference, (3,).
        thirds: those of other photos, (K, 3), K at least 1.

    Returns:
        a share in 0..1; a tie counts half, so a result that ignores its reference gets 0.5 on average.
    """
    to_own = (result - own).norm()
    to_thirds = (result - thirds).norm(dim=1)
    hits = (to_own < to_thirds).double() + 0.5 * (to_own == to_thirds).double()
    return float(hits.mean())


class StyleFollowing:
    """The share of (result, third photo) pairs in which a region of the result has a colour nearer to its own
    reference's than to the third photo's.

    Each picture's regions are read by its own mask: the result's by the target mask. Third photos are all photos of the
    split that have the region, save the one the target mask belongs to and the reference: the exact expectation over
    random thirds, so nothing is drawn. Chance is 0.5.

    Args:
        regions: which regions.
        smallest_share: see :func:`region_lab_means`.
    """

    def __init__(self, *, regions: Regions, smallest_share: float = 1 / 512) -> None:
        self.regions = regions
        self.smallest_share = smallest_share
        self._photos: dict[str, Tensor] = {}
        self._references: dict[str, Tensor] = {}
        self._results: list[tuple[str, str, Tensor]] = []

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Results in the look of another face."""
        return ("style_copy",)

    def update(self, observation: Observation) -> None:
        """Take in the region colours of results, of their references and of the photos behind the masks.

        Raises:
            FacekitError: the results were made without reference photos.
        """
        reference = observation.condition.reference
        if reference is None:
            raise FacekitError("style_following compares results with reference photos, and these have none")
        mask = observation.condition.require_mask()
        results = self._means(observation.generated.image, mask)
        photos = self._means(observation.target, mask)
        references = self._means(reference.image, reference.require_mask())
        for index, (key, reference_key) in enumerate(zip(observation.keys, observation.reference_keys, strict=True)):
            self._photos[key] = photos[index]
            self._references[reference_key] = references[index]
            self._results.append((key, reference_key, results[index]))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``style_following/mean`` where there are several regions, and ``style_following/REGION`` of each.

        The mean is that over results, of a result's mean over the regions it has a value for. Where the recipe names
        regions, one that no result, reference and third photo show has the value NaN and the count 0.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._results:
            raise FacekitError("style_following was given no results to measure")
        # Every face of the task is a target once; references that are not are third photos too.
        photos = {**self._references, **self._photos}
        by_region: dict[str, list[float]] = {}
        for position, region in enumerate(self.regions.classes):
            colours = torch.stack([means[position] for means in photos.values()])
            has_region = ~colours.isnan().any(1)
            rows = {key: row for row, key in enumerate(photos)}
            shares: list[float] = []
            for key, reference_key, means in self._results:
                own = self._references[reference_key][position]
                is_third = has_region.clone()
                is_third[[rows[key], rows[reference_key]]] = False
                measurable = bool(is_third.any()) and not bool(means[position].isnan().any() | own.isnan().any())
                shares.append(following_share(means[position], own, colours[is_third]) if measurable else math.nan)
            by_region[region] = shares
        return tuple(self._measurements(by_region))

    def _means(self, image: Tensor, mask: Tensor) -> Tensor:
        classes = tuple(self.regions.classes.values())
        return region_lab_means(image, mask, classes=classes, smallest_share=self.smallest_share).cpu()

    def _measurements(self, by_region: Mapping[str, list[float]]) -> list[Measurement]:
        """Return the mean and each region's; a region has one value a result, NaN where it has none."""
        found = []
        if len(by_region) > 1:
            rows = list(zip(*by_region.values(), strict=True))
            found.append(self._measurement(MEAN, means_of_rows(rows), "mean of a result over its regions"))
        for region in self.regions.in_order:
            shares = [share for share in by_region[region] if not math.isnan(share)]
            if self.regions.is_reported(region, len(shares)):
                found.append(self._measurement(region, shares, f"{region} (class {self.regions.classes[region]})"))
        return found

    def _measurement(self, part: str, shares: list[float], region: str) -> Measurement:
        protocol = {
            "region": f"{region}, each picture by its own mask",
            "smallest_share": repr(self.smallest_share),
            "colour": "mean CIE L*a*b*, sRGB D65; Euclidean distance",
            "thirds": "all other photos of the split with the region; ties count half",
            **({"regions": ", ".join(self.regions.classes)} if part == MEAN else {}),
        }
        name, detail = f"style_following/{part}", self.regions.is_detail(part) and part != MEAN
        return mean_or_nothing(name, shares, unit="share", better="higher", protocol=protocol, detail=detail)


def build(options: StyleFollowingOptions, context: BuildContext) -> StyleFollowing:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: a region is not in the dataset's label map.
    """
    regions = chosen_regions(options.regions, context.label_map, metric="style_following")
    return StyleFollowing(regions=regions, smallest_share=options.smallest_share)
