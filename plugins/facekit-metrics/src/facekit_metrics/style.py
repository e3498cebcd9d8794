"""Does a result take its colours from the reference it was given? By the nearest photo, and by distances of colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from facekit.faces.colour import D65, SRGB_TO_XYZ
from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Reference, Task

from .measurements import OneTask, Regions, nothing_to_measure
from .options import StyleConsistencyOptions, StyleFollowingOptions, TaskChoice

MEASURES = {"lab_mean": "Euclidean distance of the mean colours", "wasserstein": "mean over L*, a* and b*"}


def lab(image: Tensor) -> Tensor:
    """Return the CIE 1976 L*a*b* colours (D65, 2 degree observer) of sRGB images: distances are as large as they look.

    Args:
        image: (N, 3, H, W) in [-1, 1].

    Returns:
        (N, 3, H, W) float64: L* in 0..100, a* and b* about -128..128.
    """
    encoded = (image.double().clamp(-1, 1) + 1) / 2
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(SRGB_TO_XYZ, dtype=torch.float64, device=image.device)
    white = torch.tensor(D65, dtype=torch.float64, device=image.device)
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear) / white.view(1, 3, 1, 1)
    # The standard's exact rational constants join the cube root and its linear part without a step.
    epsilon, kappa = 216 / 24389, 24389 / 27
    x, y, z = torch.where(xyz > epsilon, xyz.clamp_min(epsilon) ** (1 / 3), (kappa * xyz + 16) / 116).unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def region_lab_means(image: Tensor, mask: Tensor, *, classes: tuple[int, ...], smallest_share: float) -> Tensor:
    """Return the mean Lab colour of regions.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        mask: their class ids (N, H, W).
        classes: ids of the regions, R of them.
        smallest_share: smallest share of the image that a region must cover.

    Returns:
        (N, R, 3) float64; NaN where a region is smaller than that.

    Raises:
        ValueError: images and masks differ in size.
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


def region_colours(
    image: Tensor, mask: Tensor, *, classes: Sequence[int], smallest_share: float
) -> list[Tensor | None]:
    """Return the Lab colours of the pixels of regions.

    Args:
        image: (3, H, W) in [-1, 1].
        mask: its class ids (H, W).
        classes: ids of the regions.
        smallest_share: smallest share of the image that a region must cover.

    Returns:
        (P, 3) float64 for each region; None where it is smaller than that.

    Raises:
        ValueError: image and mask differ in size.
    """
    if image.shape[-2:] != mask.shape:
        raise ValueError(f"a picture of shape {tuple(image.shape)} does not fit a mask of shape {tuple(mask.shape)}")
    colours = lab(image.unsqueeze(0))[0]
    fewest = max(1.0, smallest_share * mask.numel())
    members = [mask == class_id for class_id in classes]
    return [colours[:, member].T if int(member.sum()) >= fewest else None for member in members]


def mean_difference(result: Tensor, reference: Tensor) -> float:
    """Return the distance (CIE 1976 delta E) of the means of Lab colours (P, 3) and (Q, 3)."""
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


def _reference_of(observation: Observation, metric: str) -> Reference:
    reference = observation.condition.reference
    if reference is None:
        raise FacekitError(f"{metric} compares results with reference photos, and these have none")
    return reference


class StyleFollowing:
    """The share of (result, third photo) pairs in which a region of the result has a colour nearer to its own
    reference's than to the third photo's.

    Each image's regions are read by its own mask: the result's by the target mask. Third photos are all photos of the
    split that have the region, save the one the target mask belongs to and the reference: the exact expectation over
    random thirds, so nothing is drawn. Chance is 0.5.

    Args:
        regions: which regions.
        smallest_share: see :func:`region_lab_means`.
    """

    tasks: tuple[Task, ...] = ("style_copy",)

    def __init__(self, *, regions: Regions, smallest_share: float = 1 / 512) -> None:
        self.regions = regions
        self.smallest_share = smallest_share
        self._photos: dict[str, Tensor] = {}
        self._references: dict[str, Tensor] = {}
        self._results: list[tuple[str, str, Tensor]] = []

    def update(self, observation: Observation) -> None:
        """Take in the region colours of results, of their references and of the photos behind the masks.

        Raises:
            FacekitError: the results were made without reference photos.
        """
        reference = _reference_of(observation, "style_following")
        mask = observation.condition.require_mask()
        classes = tuple(self.regions.classes.values())
        results, photos, references = (
            region_lab_means(image, where, classes=classes, smallest_share=self.smallest_share).cpu()
            for image, where in (
                (observation.generated.image, mask),
                (observation.target, mask),
                (reference.image, reference.require_mask()),
            )
        )
        for index, (key, reference_key) in enumerate(zip(observation.keys, observation.reference_keys, strict=True)):
            self._photos[key] = photos[index]
            self._references[reference_key] = references[index]
            self._results.append((key, reference_key, results[index]))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``style_following/mean`` where there are several regions, and ``style_following/REGION`` of each.

        Where the recipe names regions, one that no result, reference and third photo show has the value NaN and the
        count 0.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._results:
            raise nothing_to_measure("style_following")
        # Every face of the task is a target once; references that are not are third photos too.
        photos = {**self._references, **self._photos}
        rows = {key: row for row, key in enumerate(photos)}
        columns = []
        for position in range(len(self.regions.classes)):
            colours = torch.stack([means[position] for means in photos.values()])
            has_region = ~colours.isnan().any(1)
            shares: list[float] = []
            for key, reference_key, means in self._results:
                own = self._references[reference_key][position]
                is_third = has_region.clone()
                is_third[[rows[key], rows[reference_key]]] = False
                measurable = bool(is_third.any()) and not bool(means[position].isnan().any() | own.isnan().any())
                shares.append(following_share(means[position], own, colours[is_third]) if measurable else math.nan)
            columns.append(shares)
        protocol = {
            "smallest_share": repr(self.smallest_share),
            "colour": "mean CIE L*a*b*, sRGB D65; Euclidean distance",
            "thirds": "all other photos of the split with the region; ties count half",
        }
        by_result = list(zip(*columns, strict=True))
        return tuple(
            self.regions.measurements("style_following", by_result, protocol=protocol, unit="share", better="higher")
        )


class StyleConsistency(OneTask):
    """How far a region's colours are from those in the reference, where both images show the region.

    Each image's regions are read by its own mask: the result's by the target mask, or where the system reads no
    mask by that of its source.

    Args:
        choice: whose results.
        regions: which regions.
        smallest_share: smallest share of an image that a region must cover.
    """

    def __init__(self, *, choice: TaskChoice, regions: Regions, smallest_share: float = 1 / 512) -> None:
        super().__init__(choice)
        self.regions = regions
        self.smallest_share = smallest_share
        # One row a result, one value a region: NaN where result and reference do not both show it.
        self._rows: dict[str, list[list[float]]] = {measure: [] for measure in MEASURES}

    def update(self, observation: Observation) -> None:
        """Take in a batch. Raises FacekitError when the results were made without reference photos."""
        reference = _reference_of(observation, "style_consistency")
        classes = list(self.regions.classes.values())
        for result, mask, photo, photo_mask in zip(
            observation.generated.image,
            observation.geometry(),
            reference.image,
            reference.require_mask(),
            strict=True,
        ):
            one, other = (
                region_colours(image, where, classes=classes, smallest_share=self.smallest_share)
                for image, where in ((result, mask), (photo, photo_mask))
            )
            pairs = list(zip(one, other, strict=True))
            self._rows["lab_mean"].append(
                [math.nan if a is None or b is None else mean_difference(a, b) for a, b in pairs]
            )
            self._rows["wasserstein"].append(
                [math.nan if a is None or b is None else float(wasserstein_distance(a, b).mean()) for a, b in pairs]
            )

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``style_consistency/TASK/MEASURE/mean`` where there are several regions, and ``.../REGION`` of each.

        Where the recipe names regions, one that no result and its reference both show has the value NaN and the count
        0.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._rows["lab_mean"]:
            raise nothing_to_measure("style_consistency")
        found: list[Measurement] = []
        for measure, rows in self._rows.items():
            protocol = {
                "smallest_share": repr(self.smallest_share),
                "colour": "CIE L*a*b*, sRGB D65",
                "distance": MEASURES[measure],
                "task": self.choice.name,
            }
            name = f"style_consistency/{self.choice.name}/{measure}"
            found += self.regions.measurements(name, rows, protocol=protocol, unit="Lab", better="lower")
        return tuple(found)


def build_following(options: StyleFollowingOptions, context: BuildContext) -> StyleFollowing:
    """Build ``style_following``. Raises FacekitError for a region that is not in the dataset's label map."""
    regions = Regions.chosen(options.regions, context.label_map, metric="style_following")
    return StyleFollowing(regions=regions, smallest_share=options.smallest_share)


def build_consistency(options: StyleConsistencyOptions, context: BuildContext) -> StyleConsistency:
    """Build ``style_consistency``. Raises FacekitError for a region that is not in the dataset's label map."""
    regions = Regions.chosen(options.regions, context.label_map, metric="style_consistency")
    return StyleConsistency(regions=regions, smallest_share=options.smallest_share, choice=options.choice(context))
