"""The features of a reference where a mask has their regions: moved there, and left out where the two do not agree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit_layers import one_hot

from .alignment import (
    affine_maps,
    covariance,
    inverse,
    land_in_region,
    pixel_centres,
    region_moments,
    sampling_grid,
    shown,
)

LARGEST_MOVE = 0.1
"""How far features were moved, in halves of the side, where that plane reaches 1: below, the network may trust them the
more, the nearer they are."""

ANOTHER_WIDTH = 0.2
"""Logarithm of the ratio of two mouths' widths, each beside its face's, from which on their expressions differ."""

ANOTHER_OPENING = 0.25
"""Share of a mouth's area that is another part of it than in the reference, from which on expressions differ."""

AROUND_MOUTH = (4.5, 6.0)
"""Deviations of a mouth's normal distribution within which cheeks and chin have its expression; beyond the second, they
have none of it."""

ANOTHER_TURN = 0.9
"""How far two noses are from the middle of their faces, in deviations of the face's width, from which on the heads are
turned differently."""

PATCHES = 6
"""Random numbers a side from which the patches of :func:`some_left_out` are drawn."""

BORDER_REACH = 1 / 32
"""How far a border is felt in the encoder's features, as a share of the side."""

BORDER_SLACK = 0.4
"""By how much less of its surroundings a place may share its class with than in the mask, before its features are left
out: a whole half is a border that the mask does not have."""


class RegionRoles(NamedTuple):
    """Class ids of regions that have a part of their own in the alignment."""

    texture: tuple[int, ...] = ()
    """Regions of one texture, as hair is: a place that has no like in the reference takes features from elsewhere."""
    skin: int | None = None
    """The skin of the face, where it follows the mask; None where it has the reference's features everywhere."""
    nose: int | None = None
    """The nose, by which it is told how far a head is turned."""
    mouth: tuple[int, ...] = ()
    """Parts of the mouth, by which expressions are told."""


def among(mask: Tensor, classes: Sequence[int]) -> Tensor:
    """Return which places of a mask are of one of some classes, without an upload, as CUDA graphs want it."""
    return reduce(torch.logical_or, [mask == each for each in classes], torch.zeros_like(mask, dtype=torch.bool))


def aligned_features(
    mask: Tensor,
    planes: Tensor,
    levels: Sequence[Tensor],
    sources: Tensor,
    share: Tensor,
    regions: RegionRoles,
    *,
    dropout: float = 0.0,
) -> list[Tensor]:
    """Return the features of references where a mask has their regions.

    Args:
        mask: class ids (N, H, W).
        planes: the same as one-hot planes (N, classes, H, W).
        levels: features (N, S, C, h, w) of S references, the full size first, each half of the one before.
        sources: class ids (N, S, H, W) of the references.
        share: what each reference counts in a region, (N, classes, S).
        regions: which classes have a part of their own in this.
        dropout: share of the images in which patches of features are left out, by torch's generator.

    Returns:
        (N, C + 2, h, w) for each level: features, where the references have any, and how far these were moved, as a
        share of :data:`LARGEST_MOVE`.
    """
    classes = planes.shape[1]
    target = region_moments(planes)
    # Half the size, the second level, is fine enough for what is smooth.
    sizes = [mask[:, :: 2**level, :: 2**level] for level in range(max(2, len(levels)))]
    half_planes = F.avg_pool2d(planes.float(), 2)
    parts: list[list[Tensor]] = [[] for _ in levels]
    for number, ids in enumerate(sources.unbind(1)):
        theirs = one_hot(ids, classes=classes, weight=planes)
        reference = region_moments(theirs)
        # The maps are those of the whole masks, whatever the level.
        maps = affine_maps(target, reference)
        counts = share[..., number].float() * shown(target, reference)
        places = [
            land_in_region(
                sampling_grid(small, maps, target, reference), small, ids, reference, among(small, regions.texture)
            )
            for small in sizes
        ]
        known = borders_agree(places[1][0], sizes[1], half_planes, F.avg_pool2d(theirs.float(), 2))
        known = known * skin_kept(sizes[1], target, reference, regions)
        if dropout:
            known = known * some_left_out(known, dropout)
        for level, (features, small, (grid, landed)) in enumerate(zip(levels, sizes, places, strict=False)):
            agreed = (
                F.avg_pool2d(known, 2 ** (level - 1))
                if level
                else F.interpolate(known, scale_factor=2, mode="bilinear")
            )
            # None outside its region, and where the masks differ, as little as they agree.
            weight = counts.gather(1, small.flatten(1)).view(small.shape[0], 1, *small.shape[1:])
            here = weight * landed[:, None] * agreed
            beside = torch.cat([here, here * (moved_by(grid) / LARGEST_MOVE).clamp_max(1)], dim=1).to(features.dtype)
            source = features[:, number]
            moved = F.grid_sample(source, grid.to(source.dtype), padding_mode="border", align_corners=False)
            parts[level].append(torch.cat([moved * here.to(features.dtype), beside], dim=1))
    return [reduce(torch.add, each) for each in parts]


def borders_agree(grid: Tensor, mask: Tensor, planes: Tensor, reference: Tensor) -> Tensor:
    """Return how far places are as deep inside their regions in the reference as in the mask.

    Features beside a border hold the border: laid into the middle of a region, they draw it there.

    Args:
        grid: where each place of the mask lies in the reference, (N, H, W, 2).
        mask: class ids (N, H, W).
        planes: the same as one-hot planes (N, classes, H, W).
        reference: one-hot planes of the reference, (N, classes, H, W).

    Returns:
        (N, 1, H, W) float32 in [0, 1], smooth across borders.
    """
    own = mask[:, None]
    deep = _share_around(planes).gather(1, own)
    theirs = F.grid_sample(_share_around(reference), grid, padding_mode="border", align_corners=False)
    return (1 - (deep - theirs.gather(1, own)) / BORDER_SLACK).clamp(0, 1)


def _share_around(planes: Tensor) -> Tensor:
    """Return the share of each class in the square about every pixel."""
    side = 2 * max(1, round(planes.shape[-1] * BORDER_REACH)) + 1
    return F.avg_pool2d(planes, side, stride=1, padding=side // 2, count_include_pad=False)


def skin_kept(mask: Tensor, target: Tensor, reference: Tensor, regions: RegionRoles) -> Tensor:
    """Return how far each place of a mask may have the reference's features, as to light and expression.

    Skin of a head that is turned otherwise has its light and its shadows elsewhere, and cheeks of a face that smiles
    are other ones than those of the same face at rest. Where noses tell of another turn, the skin follows the mask
    alone; where mouths are of another width, beside their faces, or open otherwise, what is around the mouth does.

    Args:
        mask: class ids (N, h, w) of the places.
        target: moments (N, classes, 6) of the mask.
        reference: moments of the reference.
        regions: which classes skin, nose and mouth are; what is not named, or not shown by both, tells nothing.

    Returns:
        (N, 1, h, w) float32 in [0, 1].
    """
    skin = regions.skin
    if skin is None:
        return torch.ones_like(mask[:, None], dtype=torch.float32)
    both, on_skin = shown(target, reference), mask == skin
    kept = torch.ones_like(mask, dtype=torch.float32)
    if regions.nose is not None:
        own, theirs = (_turn_of(moments, regions.nose, skin) for moments in (target, reference))
        turned = _beyond_half((own - theirs).abs() / ANOTHER_TURN) * both[:, skin] * both[:, regions.nose]
        kept = kept * (1 - on_skin * turned[:, None, None])
    if regions.mouth:
        own, own_width, own_parts = _mouth_of(target, regions.mouth, skin)
        theirs, their_width, their_parts = _mouth_of(reference, regions.mouth, skin)
        wider = (own_width / their_width).log().abs() / ANOTHER_WIDTH
        opened = (own_parts - their_parts).abs().sum(1) / 2 / ANOTHER_OPENING
        differs = _beyond_half(wider + opened) * both[:, skin] * shown(own[:, None], theirs[:, None])[:, 0]
        from_middle = pixel_centres(mask.shape[1], mask.shape[2], mask.device) - own[:, None, 1:3]
        inverted = inverse(covariance(own))[:, None]
        distance = (from_middle[..., None, :] @ inverted @ from_middle[..., None])[..., 0, 0].sqrt().view(mask.shape)
        inner, outer = AROUND_MOUTH
        around = ((outer - distance) / (outer - inner)).clamp(0, 1) * (on_skin | among(mask, regions.mouth))
        kept = kept * (1 - around * differs[:, None, None])
    return kept[:, None]


def _beyond_half(difference: Tensor) -> Tensor:
    """Return 0 for differences up to a half, 1 from 1 on, and what is between in proportion."""
    return (2 * difference - 1).clamp(0, 1)


def _turn_of(moments: Tensor, nose: int, skin: int) -> Tensor:
    """Return how far (N,) noses are from the middle of their faces, in deviations of these."""
    return (moments[:, nose, 1] - moments[:, skin, 1]) / moments[:, skin, 3].clamp_min(1e-8).sqrt()


def _mouth_of(moments: Tensor, mouth: Sequence[int], skin: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a mouth's moments (N, 6), its width beside its face's (N,), and the shares of its parts (N, parts)."""
    parts = torch.stack([moments[:, part] for part in mouth], dim=1)
    whole = _joined(parts)
    variances = whole[:, 3].clamp_min(1e-8) / moments[:, skin, 3].clamp_min(1e-8)
    return whole, variances.sqrt(), parts[..., 0] / whole[:, :1].clamp_min(1e-8)


def _joined(moments: Tensor) -> Tensor:
    """Return the moments (N, 6) of regions (N, R, 6) taken together."""
    share = moments[..., :1]
    whole = share.sum(1)
    weight = share / whole[:, None].clamp_min(1e-8)
    x, y, xx, yy, xy = moments[..., 1:].unbind(-1)
    raw = torch.stack([x, y, xx + x * x, yy + y * y, xy + x * y], dim=-1)
    x, y, xx, yy, xy = (weight * raw).sum(1).unbind(-1)
    return torch.cat([whole, torch.stack([x, y, xx - x * x, yy - y * y, xy - x * y], dim=-1)], dim=-1)


def some_left_out(known: Tensor, dropout: float) -> Tensor:
    """Return planes like ``known``, (N, 1, H, W) in [0, 1], that are 0 in smooth patches of some of the images.

    A generator that always gets the reference's features learns to copy them, and knows nothing to put where they are
    missing. How much of an image is left out is drawn evenly, from nothing to everything.
    """
    count = len(known)
    field = torch.rand(count, 1, PATCHES, PATCHES, device=known.device)
    field = F.interpolate(field, known.shape[2:], mode="bicubic")
    chosen, limit = torch.rand(2, count, 1, 1, 1, device=known.device)
    return torch.where(chosen < dropout, ((field - limit) * PATCHES).clamp(0, 1), 1.0)


def moved_by(grid: Tensor) -> Tensor:
    """Return how far the places of a grid (N, H, W, 2) are from those they stand for, (N, 1, H, W)."""
    height, width = grid.shape[1:3]
    place = pixel_centres(height, width, grid.device).view(height, width, 2)
    return (grid - place).norm(dim=-1)[:, None]
