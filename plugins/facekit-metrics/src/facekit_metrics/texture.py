"""Texture: how much fine detail the regions of results have, beside those of real photos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.faces.colour import LUMA
from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task

from .measurements import mean_measurement
from .options import MEAN, TextureOptions

SIGMAS = (1.0, 2.5)
"""Deviations of the two Gaussians, in pixels of the evaluated size."""

BANDS = {"fine": "g - Gaussian(g, 1.0)", "coarse": "Gaussian(g, 1.0) - Gaussian(g, 2.5)"}
"""The two bands, and what is squared in each."""

_TRUNCATE = 4.0
"""How many deviations a Gaussian reaches."""


@lru_cache(maxsize=16)
def gaussian_matrix(side: int, sigma: float) -> Tensor:
    """Return the matrix (side, side) float64 that blurs a line of pixels; the line is mirrored at its ends."""
    reach = int(_TRUNCATE * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma).square())
    weights /= weights.sum()
    # d c b a | a b c d | d c b a
    places = (torch.arange(side).unsqueeze(1) + offsets) % (2 * side)
    places = torch.where(places < side, places, 2 * side - 1 - places)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, places, weights.expand(side, -1))


def blurred(plane: Tensor, sigma: float) -> Tensor:
    """Return an image (H, W) float64, blurred by a Gaussian of ``sigma`` pixels that is cut off at 4 deviations."""
    rows, columns = (gaussian_matrix(side, sigma).to(plane.device) for side in plane.shape)
    return rows @ plane @ columns.T


def band_energy(image: Tensor) -> Tensor:
    """Return the energy of both bands at every pixel.

    Args:
        image: a picture (3, H, W) in [-1, 1].

    Returns:
        (2, H, W) float64: fine, then coarse; the square of a brightness in 0..1.
    """
    weights = torch.tensor(LUMA, dtype=torch.float64, device=image.device).view(3, 1, 1)
    grey = ((image.double() + 1) / 2 * weights).sum(0)
    narrow, wide = (blurred(grey, sigma) for sigma in SIGMAS)
    return torch.stack(((grey - narrow).square(), (narrow - wide).square()))


def without_outline(member: Tensor) -> Tensor:
    """Return a region without the pixels next to another one, also diagonally; the picture's edge is no outline.

    Args:
        member: which pixels belong to it, (H, W) bool.
    """
    others = (~member).float().view(1, 1, *member.shape)
    return F.max_pool2d(others, 3, 1, 1).view(member.shape) == 0


def region_energy(image: Tensor, mask: Tensor, *, regions: Sequence[tuple[int, ...]], smallest_share: float) -> Tensor:
    """Return the mean energy of regions without their outlines.

    Args:
        image: a picture (3, H, W) in [-1, 1].
        mask: its class ids (H, W).
        regions: the class ids of each region, R of them.
        smallest_share: smallest share of the picture that a region must cover without its outline.

    Returns:
        (R, 3) float64: mean energy of the fine and of the coarse band, and the number of pixels; NaN where the region
        is smaller than that.

    Raises:
        ValueError: picture and mask differ in size.
    """
    if image.shape[-2:] != mask.shape:
        raise ValueError(f"a picture of shape {tuple(image.shape)} does not fit a mask of shape {tuple(mask.shape)}")
    energy = band_energy(image)
    found = torch.full((len(regions), 3), math.nan, dtype=torch.float64)
    for row, classes in enumerate(regions):
        inner = without_outline(torch.isin(mask, torch.tensor(classes, device=mask.device)))
        count = int(inner.sum())
        if count >= max(1.0, smallest_share * mask.numel()):
            found[row, :2] = energy[:, inner].mean(1).cpu()
            found[row, 2] = count
    return found


def ratio_samples(results: Tensor, photos: Tensor) -> Tensor:
    """Return values whose mean is ``sum(results) / sum(photos)``: the ratio, linearised about each picture.

    With R the ratio and m the mean of ``photos``, picture i has ``R + (results_i - R photos_i) / m``. Their spread is
    that of the ratio (Cochran, Sampling Techniques, 1977, section 2.11), so bootstrap intervals and paired tests over
    pictures mean what they say, which those over ratios of single pictures would not: a flat region divides by almost
    nothing.

    Args:
        results: (N,) float64.
        photos: (N,) float64, of a sum above 0.
    """
    ratio = results.sum() / photos.sum()
    return ratio + (results - ratio * photos) / photos.mean()


class Texture:
    """The energy of the fine and of the coarse band in regions of results, as a multiple of that of real photos.

    The ratio is that of sums over the set. In ``reconstruction`` a result stands beside the photo of the same face, in
    the same pixels. In ``style_copy`` it stands beside its reference, each in its own region, and what is summed is the
    mean energy of a pixel, so that a large region is not a rich one. 1 is as much as photos have, 0 is flat. Noise has
    energy too: read it beside a distance.

    Args:
        tasks: whose results.
        regions: class ids by region name.
        smallest_share: see :func:`region_energy`.
    """

    def __init__(
        self, *, tasks: tuple[Task, ...], regions: Mapping[str, tuple[int, ...]], smallest_share: float = 1 / 2048
    ) -> None:
        self.tasks = tasks
        self.regions = dict(regions)
        self.smallest_share = smallest_share
        self._pairs: dict[Task, list[Tensor]] = {task: [] for task in tasks}

    def update(self, observation: Observation) -> None:
        """Take in a batch.

        Raises:
            FacekitError: the results were made without reference photos, or without masks.
        """
        same = observation.task == "reconstruction"
        reference = observation.condition.reference
        if reference is None and not same:
            raise FacekitError("texture compares results with reference photos, and these have none", where="metrics")
        masks = observation.geometry()
        photos = observation.target if same or reference is None else reference.image
        photo_masks = masks if same or reference is None else reference.require_mask()
        for result, mask, photo, photo_mask in zip(
            observation.generated.image, masks, photos, photo_masks, strict=True
        ):
            pair = torch.stack((self._energy(result, mask), self._energy(photo, photo_mask)))
            # The same pixels of both: the sum over them. Regions of two faces: their mean.
            self._pairs[observation.task].append(pair[..., :2] * (pair[..., 2:] if same else 1))

    def compute(self) -> tuple[Measurement, ...]:
        """Return ``texture/TASK/BAND/mean``, over the regions, and ``texture/TASK/BAND/REGION``.

        The value is NaN and the count 0 where no pair of pictures shows the region, or the photos are flat.

        Raises:
            FacekitError: nothing was observed in one of the tasks.
        """
        found: list[Measurement] = []
        for task, pairs in self._pairs.items():
            if not pairs:
                raise FacekitError(f"texture was given no results of {task} to measure")
            stacked = torch.stack(pairs)
            for place, band in enumerate(BANDS):
                found += self._measurements(task, band, stacked[..., place])
        return tuple(found)

    def _energy(self, image: Tensor, mask: Tensor) -> Tensor:
        regions = tuple(self.regions.values())
        return region_energy(image, mask, regions=regions, smallest_share=self.smallest_share)

    def _measurements(self, task: Task, band: str, pairs: Tensor) -> list[Measurement]:
        """Return what a band has to say; ``pairs`` is (N, 2, R): result and photo, by region."""
        found = []
        everywhere: list[Tensor] = []
        for place, region in enumerate(self.regions):
            shown = ~pairs[:, :, place].isnan().any(1)
            results, photos = pairs[shown, :, place].unbind(1)
            samples = ratio_samples(results, photos) if bool(photos.sum() > 0) else results[:0]
            found.append(self._measurement(task, band, region, samples))
            if len(samples):
                # A picture without the region adds nothing to either sum: it stands at the ratio itself.
                ratio = samples.mean()
                spread = torch.full((len(pairs),), float(ratio), dtype=torch.float64)
                spread[shown] += (samples - ratio) * (len(pairs) / len(samples))
                everywhere.append(spread)
        mean = torch.stack(everywhere).mean(0) if everywhere else torch.empty(0, dtype=torch.float64)
        return [self._measurement(task, band, MEAN, mean), *found]

    def _measurement(self, task: Task, band: str, region: str, samples: Tensor) -> Measurement:
        name = f"texture/{task}/{band}/{region}"
        own = task == "reconstruction"
        of = (
            f"mean over {', '.join(self.regions)}"
            if region == MEAN
            else f"{region} (classes {', '.join(map(str, self.regions[region]))})"
        )
        protocol = {
            "region": f"{of}, eroded by one pixel, each picture by {'the same' if own else 'its own'} mask",
            "smallest_share": repr(self.smallest_share),
            "energy": f"({BANDS[band]})^2 of luma (BT.601, sRGB as stored), sigmas in pixels",
            "beside": "the photo of the same face, summed over pixels" if own else "the reference, mean over pixels",
            "ratio": "of sums over the set; intervals by linearised values",
        }
        detail = region != MEAN
        return mean_measurement(name, samples.tolist(), better="higher", protocol=protocol, detail=detail, none=True)


def build(options: TextureOptions, context: BuildContext) -> Texture:
    """Build the metric from a recipe's options. Raises FacekitError when a class is not in the dataset's label map."""
    return Texture(
        tasks=options.tasks,
        regions=options.classes_by_region(context.label_map),
        smallest_share=options.smallest_share,
    )
