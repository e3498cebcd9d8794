"""Region colours: a result in the style of another photo takes the colours of that photo's regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, FacekitError, Step, did_you_mean
from facekit_gan import condition_of, fake, shuffled_style

from .numeric import at_least_float32
from .options import RegionColourOptions

VARIANCE_FLOOR = 1e-4
"""Smallest variance that is told apart: below it (1.3 levels of 255) the slope of the square root explodes."""


def region_statistics(image: Tensor, mask: Tensor, *, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean colour, the standard deviation and the pixel count of every region.

    Args:
        image: pictures (N, 3, H, W).
        mask: class ids (N, H, W) of the same pictures.
        classes: how many classes there are.

    Returns:
        means (N, classes, 3), standard deviations (N, classes, 3; at least the root of :data:`VARIANCE_FLOOR`) and
        pixel counts (N, classes). Means of absent regions are 0.

    Raises:
        ValueError: pictures and masks differ in size.
    """
    if image.shape[0] != mask.shape[0] or image.shape[-2:] != mask.shape[-2:]:
        raise ValueError(f"pictures of shape {tuple(image.shape)} do not fit masks of shape {tuple(mask.shape)}")
    pixels = at_least_float32(image).flatten(2).transpose(1, 2)
    # A product with the one-hot mask, not a scatter: the same numbers on every device and in every run.
    ids = torch.arange(classes, device=mask.device).view(1, -1, 1)
    member = (mask.flatten(1).unsqueeze(1) == ids).to(pixels.dtype)
    counts = member.sum(2)
    moments = (member @ torch.cat((pixels, pixels.square()), 2)) / counts.clamp_min(1).unsqueeze(-1)
    means, squares = moments.chunk(2, dim=2)
    variances = squares - means.square()
    return means, variances.clamp_min(VARIANCE_FLOOR).sqrt(), counts


def region_colour_loss(
    result: Tensor,
    result_mask: Tensor,
    photo: Tensor,
    photo_mask: Tensor,
    *,
    weights: Tensor,
    deviation: float = 0.0,
    smallest_share: float = 1 / 512,
    area: float = 0.0,
    mean: Callable[[Tensor], Tensor] = lambda numbers: numbers,
) -> Tensor:
    """Return the difference between the colours of regions that two pictures share.

    The weighted mean, over all regions of all pairs that cover enough of both pictures, of the mean absolute
    difference of their mean colours, plus ``deviation`` times that of their standard deviations. Zero when no region
    is shared.

    Args:
        result: pictures (N, 3, H, W) in [-1, 1].
        result_mask: their class ids (N, H, W).
        photo: pictures (N, 3, h, w) in [-1, 1] whose colours are wanted.
        photo_mask: their class ids (N, h, w).
        weights: one weight a class, (classes,).
        deviation: share of the standard deviations.
        smallest_share: smallest share of a picture that a region must cover, in both.
        area: power of the smaller of a region's two shares that its weight is multiplied by: 0 lets every region count
            alike, an earring as much as the hair; 1 lets every pixel count alike.
        mean: takes the mean over all processes that train together, whose losses then average to that of all pairs.

    Returns:
        a scalar.

    Raises:
        ValueError: pictures and masks do not fit each other.
    """
    classes = weights.numel()
    means, deviations, counts = region_statistics(result, result_mask, classes=classes)
    wanted, wanted_deviations, wanted_counts = region_statistics(photo, photo_mask, classes=classes)
    shared = (counts >= smallest_share * result_mask[0].numel()) & (
        wanted_counts >= smallest_share * photo_mask[0].numel()
    )
    weight = shared * weights.to(means)
    if area:
        smaller = torch.minimum(counts / result_mask[0].numel(), wanted_counts / photo_mask[0].numel())
        weight = weight * smaller.pow(area)
    difference = (means - wanted).abs().mean(-1)
    if deviation:
        difference = difference + deviation * (deviations - wanted_deviations).abs().mean(-1)
    return (weight * difference).sum() / mean(weight.sum()).clamp_min(torch.finfo(weight.dtype).tiny)


class RegionColourLoss(nn.Module):
    """Region colours of fakes in the style of another face and, by choice, in their own.

    It has no parameters and an empty state dict.

    Args:
        weights: one weight a class, (classes,).
        shuffled: share of fakes in the style of another face, against the reference photos of that style.
        faces: how many faces of the batch are made so; None for all.
        own: share of fakes in their own style, against the real photos.
        deviation: see :func:`region_colour_loss`.
        smallest_share: see :func:`region_colour_loss`.
        area: see :func:`region_colour_loss`.
    """

    weights: Tensor

    def __init__(
        self,
        *,
        weights: Tensor,
        shuffled: float = 1.0,
        faces: int | None = None,
        own: float = 0.0,
        deviation: float = 0.0,
        smallest_share: float = 1 / 512,
        area: float = 0.0,
    ) -> None:
        super().__init__()
        # A buffer, since a copy to the device in every step would wait for all that the device has yet to do.
        self.register_buffer("weights", weights, persistent=False)
        self.shuffled = shuffled
        self.faces = faces
        self.own = own
        self.deviation = deviation
        self.smallest_share = smallest_share
        self.area = area

    def forward(self, step: Step) -> Tensor:
        """Return the loss, a scalar."""
        terms: list[Tensor] = []
        if self.shuffled:
            made = shuffled_style(step, self.faces)
            wanted = condition_of(step, made)
            reference = wanted.reference
            if reference is None or reference.mask is None:
                raise FacekitError("region_colour compares fakes with reference photos and their masks; there are none")
            mask = _mask(wanted.mask)
            terms.append(self.shuffled * self._compare(step, made.image, mask, reference.image, reference.mask))
        if self.own:
            mask = _mask(step.batch.mask)
            terms.append(self.own * self._compare(step, fake(step).image, mask, step.batch.image, mask))
        return torch.stack(terms).sum()

    def _compare(self, step: Step, result: Tensor, result_mask: Tensor, photo: Tensor, photo_mask: Tensor) -> Tensor:
        return region_colour_loss(
            result,
            result_mask,
            photo,
            photo_mask,
            weights=self.weights,
            deviation=self.deviation,
            smallest_share=self.smallest_share,
            area=self.area,
            mean=step.mean,
        )


def _mask(mask: Tensor | None) -> Tensor:
    if mask is None:
        raise FacekitError("region_colour compares regions, and the data has no masks")
    return mask


def class_weights(regions: Mapping[str, float], names: tuple[str, ...]) -> Tensor:
    """Return one weight a class: those that are named, and 1 for the rest.

    Raises:
        FacekitError: a name is not a class of the label map, or all weights are 0.
    """
    for name in regions:
        if name not in names:
            raise FacekitError(
                f"region_colour weighs a region {name!r}, which the label map does not have",
                remedy=did_you_mean(name, names) or f"classes: {', '.join(names)}",
            )
    weights = torch.tensor([regions.get(name, 1.0) for name in names])
    if not bool(weights.any()):
        raise FacekitError("region_colour gives every region the weight 0", remedy="give one a positive weight")
    return weights


def build(options: RegionColourOptions, context: BuildContext) -> RegionColourLoss:
    """Build the loss from a recipe's options.

    Raises:
        FacekitError: a region's name is not in the dataset's label map.
    """
    return RegionColourLoss(
        weights=class_weights(options.regions, context.label_map.names),
        shuffled=options.shuffled_style,
        faces=options.shuffled_faces,
        own=options.own,
        deviation=options.deviation,
        smallest_share=options.smallest_share,
        area=options.area,
    )
