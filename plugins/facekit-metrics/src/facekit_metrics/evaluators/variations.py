"""Variations of photos and their masks, so that an evaluator learns faces and not photos."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

TURN, GROW, SHIFT = 10.0, 0.15, 0.06
"""Degrees, share of the size, and share of the side that a face is turned, scaled and shifted by at most."""

LIGHT, CONTRAST, SATURATION, HUE = 0.25, 0.25, 0.3, 0.05
"""How far brightness, contrast, saturation and the share of each colour go from what they are."""


def varied(photos: Tensor, masks: Tensor, mirror: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return photos and masks that are mirrored, turned, scaled, shifted, and the photos in another light.

    Args:
        photos: (N, 3, S, S) uint8.
        masks: (N, S, S) uint8 class ids.
        mirror: (256,) the id each id has in a mirrored picture.
        random: draws everything.

    Returns:
        photos (N, 3, S, S) float32 in [-1, 1] and masks (N, S, S) int64.
    """
    draw = _drawing(len(photos), random)
    flip = _coin(len(photos), random)
    images, ids = _mirrored(photos, flip), masks.long()
    ids = torch.where(flip[:, None, None], mirror.long()[ids.flip(-1)], ids)
    grid = _grid(photos.shape, draw)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    moved = F.grid_sample(ids[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return _relit(images, draw), moved[:, 0].long()


def varied_photos(photos: Tensor, random: torch.Generator) -> Tensor:
    """Return photos without masks, varied alike.

    Args:
        photos: (N, 3, S, S) uint8.
        random: draws everything.

    Returns:
        (N, 3, S, S) float32 in [-1, 1].
    """
    draw = _drawing(len(photos), random)
    images = _mirrored(photos, _coin(len(photos), random))
    grid = _grid(photos.shape, draw)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _relit(images, draw)


def _drawing(count: int, random: torch.Generator) -> Callable[[float], Tensor]:
    def draw(extent: float) -> Tensor:
        return (torch.rand(count, generator=random) * 2 - 1) * extent

    return draw


def _coin(count: int, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) < 0.5


def _mirrored(photos: Tensor, flip: Tensor) -> Tensor:
    images = photos.float() / 127.5 - 1
    return torch.where(flip[:, None, None, None], images.flip(-1), images)


def _grid(shape: torch.Size, draw: Callable[[float], Tensor]) -> Tensor:
    angle, scale = draw(math.radians(TURN)), 1 + draw(GROW)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    matrix = torch.stack(
        [torch.stack([cosine, -sine, draw(2 * SHIFT)], 1), torch.stack([sine, cosine, draw(2 * SHIFT)], 1)], 1
    )
    return F.affine_grid(matrix, list(shape), align_corners=False)


def _relit(images: Tensor, draw: Callable[[float], Tensor]) -> Tensor:
    def each(extent: float) -> Tensor:
        factor: Tensor = draw(extent)
        return factor[:, None, None, None]

    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + each(SATURATION))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * (1 + each(CONTRAST)) + each(LIGHT)
    tint = torch.cat([each(HUE), each(HUE), each(HUE)], dim=1)
    return (images * (1 + tint) + tint).clamp(-1, 1)
