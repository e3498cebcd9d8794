"""How near the colours of a region are to those it has in the reference: their mean, and their distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation

from .lab import lab
from .one_task import OneTask
from .options import MEAN, StyleConsistencyOptions
from .per_sample import mean_or_nothing, means_of_rows
from .regions import Regions, chosen_regions
from .task_options import TaskChoice

MEASURES = {"lab_mean": "Euclidean distance of the mean colours", "wasserstein": "mean over L*, a* and b*"}


def region_colours(
    image: Tensor, mask: Tensor, *, classes: Sequence[int], smallest_share: float
) -> list[Tensor | None]:
    """Return the Lab colours of the pixels of regions.

    Args:
        image: a picture (3, H, W) in [-1, 1].
        mask: its class ids (H, W).
        classes: ids of the regions.
        smallest_share: smallest share of the picture that a region must cover.

    Returns:
        (P, 3) float64 for each region; None where it is smaller than that.

    Raises:
        ValueError: picture and mask differ in size.
    """
    if image.shape[-2:] != mask.shape:
        raise ValueError(f"a picture of shape {tuple(image.shape)} does not fit a mask of shape {tuple(mask.shape)}")
    colours = lab(image.unsqueeze(0))[0]
    fewest = max(1.0, smallest_share * mask.numel())
    members = [mask == class_id for class_id in classes]
    return [colours[:, member].T if int(member.sum()) >= fewest else None for member in members]


def mean_difference(result: Tensor, reference: Tensor) -> float:
    """Return the distance of the mean colours of two regions (CIE 1976 delta E).

    Args:
        result: Lab colours (P, 3).
        reference: Lab colours (Q, 3).
    """
    return float((result.mean(0) - reference.mean(0)).norm())


def wasserstein_distance(result: Tensor, reference: Tensor) -> Tensor:
    """Return the 1-Wasserstein (earth mover's) distance of two samples, channel by channel.

    It is the area between their cumulative distributions. The samples may differ in size.

    Args:
        result: (P, C), P at least 1.
        reference: (Q, C), Q at least 1.

    Returns:
        (C,) float64, in the unit of the values.

    Raises:
        ValueError: a sample is empty.
    """
    if not len(result) or not len(reference):
        raise ValueError("an empty sample has no distribution")
    one, other = (sample.double().T.contiguous().sort(1).values for sample in (result, reference))
    points = torch.cat((one, other), 1).sort(1).values
    widths = points.diff(dim=1)
    levels = [
        torch.searchsorted(sample, points[:, :-1].contiguous(), right=True) / sample.shape[1] for sample in (one, other)
    ]
    return ((levels[0].double() - levels[1].double()).abs() * widths).sum(1)


class StyleConsistency(OneTask):
    """How far a region's colours are from those in the reference, where both pictures show the region.

    Each picture's regions are read by its own mask: the result's by the target mask, or where the system reads no
    mask by that of its source.

    Args:
        regions: which regions.
        smallest_share: smallest share of a picture that a region must cover.
        choice: whose results.
    """

    def __init__(self, *, choice: TaskChoice, regions: Regions, smallest_share: float = 1 / 512) -> None:
        super().__init__(choice)
        self.regions = regions
        self.smallest_share = smallest_share
        # One row a result, one value a region: NaN where result and reference do not both show it.
        self._rows: dict[str, list[list[float]]] = {measure: [] for measure in MEASURES}

    def update(self, observation: Observation) -> None:
        """Take in a batch.

        Raises:
            FacekitError: the results were made without reference photos.
        """
        reference = observation.condition.reference
        if reference is None:
            raise FacekitError("style_consistency compares results with reference photos, and these have none")
        results = zip(observation.generated.image, observation.geometry(), strict=True)
        references = zip(reference.image, reference.require_mask(), strict=True)
        for (result, mask), (photo, photo_mask) in zip(results, references, strict=True):
            pairs = list(zip(self._colours(result, mask), self._colours(photo, photo_mask), strict=True))
            self._rows["lab_mean"].append(
                [math.nan if a is None or b is None else mean_difference(a, b) for a, b in pairs]
            )
            self._rows["wasserstein"].append(
                [math.nan if a is None or b is None else float(wasserstein_distance(a, b).mean()) for a, b in pairs]
            )

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``style_consistency/TASK/MEASURE/mean`` where there are several regions, and ``.../REGION`` of each.

        The mean is that over results, of a result's mean over the regions it has a value for. Where the recipe names
        regions, one that no result and its reference both show has the value NaN and the count 0.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._rows["lab_mean"]:
            raise FacekitError("style_consistency was given no results to measure")
        return tuple(entry for measure, rows in self._rows.items() for entry in self._measurements(measure, rows))

    def _colours(self, image: Tensor, mask: Tensor) -> list[Tensor | None]:
        classes = tuple(self.regions.classes.values())
        return region_colours(image, mask, classes=classes, smallest_share=self.smallest_share)

    def _measurements(self, measure: str, rows: list[list[float]]) -> list[Measurement]:
        found = []
        if len(self.regions.classes) > 1:
            found.append(self._measurement(measure, MEAN, means_of_rows(rows), "mean of a result over its regions"))
        columns = dict(zip(self.regions.classes, zip(*rows, strict=True), strict=True))
        for region in self.regions.in_order:
            values = [value for value in columns[region] if not math.isnan(value)]
            if self.regions.is_reported(region, len(values)):
                what = f"{region} (class {self.regions.classes[region]})"
                found.append(self._measurement(measure, region, values, what))
        return found

    def _measurement(self, measure: str, part: str, values: list[float], region: str) -> Measurement:
        protocol = {
            "region": f"{region}, each picture by its own mask",
            "smallest_share": repr(self.smallest_share),
            "colour": "CIE L*a*b*, sRGB D65",
            "distance": MEASURES[measure],
            "task": self.choice.name,
            **({"regions": ", ".join(self.regions.classes)} if part == MEAN else {}),
        }
        name = f"style_consistency/{self.choice.name}/{measure}/{part}"
        detail = self.regions.is_detail(part) and part != MEAN
        return mean_or_nothing(name, values, unit="Lab", better="lower", protocol=protocol, detail=detail)


def build(options: StyleConsistencyOptions, context: BuildContext) -> StyleConsistency:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: a region is not in the dataset's label map.
    """
    regions = chosen_regions(options.regions, context.label_map, metric="style_consistency")
    return StyleConsistency(regions=regions, smallest_share=options.smallest_share, choice=options.choice(context))
