"""How near the colours of a region are to those it has in the reference: their mean, and their distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation

from .lab import lab
from .one_task import OneTask
from .options import StyleConsistencyOptions
from .per_sample import mean_measurement
from .regions import classes_of
from .task_options import TaskChoice

MEASURES = {"lab_mean": "Euclidean distance of the mean colours", "wasserstein": "mean over L*, a* and b*"}


def region_colours(image: Tensor, mask: Tensor, *, class_id: int, smallest_share: float) -> Tensor | None:
    """Return the Lab colours of the pixels of a region.

    Args:
        image: a picture (3, H, W) in [-1, 1].
        mask: its class ids (H, W).
        class_id: the region.
        smallest_share: smallest share of the picture that it must cover.

    Returns:
        (P, 3) float64; None where the region is smaller than that.

    Raises:
        ValueError: picture and mask differ in size.
    """
    if image.shape[-2:] != mask.shape:
        raise ValueError(f"a picture of shape {tuple(image.shape)} does not fit a mask of shape {tuple(mask.shape)}")
    member = mask == class_id
    if int(member.sum()) < max(1.0, smallest_share * mask.numel()):
        return None
    return lab(image.unsqueeze(0))[0][:, member].T


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

    Each picture's regions are read by its own mask: the result's by the target mask, or where the painter reads no
    mask by that of its source.

    Args:
        regions: class id by region name.
        smallest_share: smallest share of a picture that a region must cover.
        choice: whose results.
    """

    def __init__(self, *, choice: TaskChoice, regions: Mapping[str, int], smallest_share: float = 1 / 512) -> None:
        super().__init__(choice)
        self.regions = dict(regions)
        self.smallest_share = smallest_share
        self._seen = 0
        self._values: dict[tuple[str, str], list[float]] = {
            (measure, region): [] for measure in MEASURES for region in regions
        }

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
            self._seen += 1
            for region, class_id in self.regions.items():
                mine, other = (
                    region_colours(image, ids, class_id=class_id, smallest_share=self.smallest_share)
                    for image, ids in ((result, mask), (photo, photo_mask))
                )
                if mine is not None and other is not None:
                    self._values["lab_mean", region].append(mean_difference(mine, other))
                    self._values["wasserstein", region].append(float(wasserstein_distance(mine, other).mean()))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``style_consistency/TASK/MEASURE/REGION`` for each measure and region.

        The value is NaN and the count 0 where no result and its reference both show the region.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._seen:
            raise FacekitError("style_consistency was given no results to measure")
        return tuple(self._measurement(*key, values) for key, values in self._values.items())

    def _measurement(self, measure: str, region: str, values: list[float]) -> Measurement:
        name = f"style_consistency/{self.choice.name}/{measure}/{region}"
        protocol = {
            "region": f"{region} (class {self.regions[region]}), each picture by its own mask",
            "smallest_share": repr(self.smallest_share),
            "colour": "CIE L*a*b*, sRGB D65",
            "distance": MEASURES[measure],
            "task": self.choice.name,
        }
        if not values:
            return Measurement(name, math.nan, "Lab", "lower", protocol)
        return mean_measurement(name, values, unit="Lab", better="lower", protocol=protocol)


def build(options: StyleConsistencyOptions, context: BuildContext) -> StyleConsistency:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: a region is not in the dataset's label map.
    """
    regions = classes_of(options.regions, context.label_map, metric="style_consistency")
    return StyleConsistency(regions=regions, smallest_share=options.smallest_share, choice=options.choice(context))
