"""Augmentation of photos and their masks, so that an evaluator learns faces and not photos."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TURN, GROW, SHIFT = 10.0, 0.15, 0.06
"""Degrees, share of the size, and share of the side that a face is turned, scaled and shifted by at most."""

LIGHT, CONTRAST, SATURATION, HUE = 0.25, 0.25, 0.3, 0.05
"""How far brightness, contrast, saturation and the share of each colour go from what they are."""


def varied(photos: Tensor, masks: Tensor | None, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Return photos and masks that are turned, scaled and shifted, and the photos in another light.

    Args:
        photos: (N, 3, S, S) in [-1, 1].
        masks: (N, S, S) int64 class ids; None for photos alone.
        random: CPU generator that draws everything.

    Returns:
        the same, of the same types.
    """

    def draw(extent: float) -> Tensor:
        return ((torch.rand(len(photos), generator=random) * 2 - 1) * extent).to(photos.device)

    angle, scale = draw(math.radians(TURN)), 1 + draw(GROW)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    across = torch.stack([cosine, -sine, draw(2 * SHIFT)], 1)
    grid = F.affine_grid(
        torch.stack([across, torch.stack([sine, cosine, draw(2 * SHIFT)], 1)], 1), list(photos.shape), False
    )
    images = F.grid_sample(photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if masks is not None:
        moved = F.grid_sample(
            masks[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        masks = moved[:, 0].long()

    def each(extent: float) -> Tensor:
        return draw(extent)[:, None, None, None]

    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + each(SATURATION))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * (1 + each(CONTRAST)) + each(LIGHT)
    tint = torch.cat([each(HUE), each(HUE), each(HUE)], dim=1)
    return (images * (1 + tint) + tint).clamp(-1, 1), masks
