"""What a hole begins with, before the network changes it: the colours around it, and the texture of its regions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 32
"""Squares a side of the image in which visible pixels of a region are counted."""

NEAREST, AROUND = 2.0, 1.0
"""How fast the weight of a cell falls with its distance, per cell, by exp(-x): for where the nearest pixels of a region
are, and for the colour around a place."""

TOWARDS = (0.25, 0.6)
"""How far the mean place of a region is, as a share of the mean distance to it, where detail is faded out and where it is
in full: amid a hole that the region surrounds, its places lie on all sides, and reflections would meet in a star."""

REFLECTIONS = (1.0, 0.6, 1.5, 0.3, 2.2, 0.1)
"""Distances beyond the nearest visible place of a region, as multiples of the distance to it, tried in turn."""


def fill_smoothly(photo: Tensor, hole: Tensor) -> Tensor:
    """Return photos whose holes are filled with what lies around them, the smoother the further inside.

    The photo is averaged to ever coarser levels over what it shows; then, level by level, what is missing comes from
    the next coarser one (push-pull; Gortler et al., The Lumigraph, SIGGRAPH 1996).

    Args:
        photo: (N, 3, H, W); where ``hole`` is 1 it is not read.
        hole: (N, 1, H, W), 1 inside.

    Returns:
        (N, 3, H, W) in the type of ``photo``; zeros where a hole covers all.
    """
    weight = 1 - hole.to(photo.dtype)
    levels = [(photo * weight, weight)]
    while min(weight.shape[-2:]) > 1:
        value, weight = levels[-1]
        value, weight = F.avg_pool2d(value, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True)
        levels.append((value, weight))
    filled = levels[-1][0] / levels[-1][1].clamp_min(1e-6)
    for value, weight in reversed(levels[:-1]):
        wider = F.interpolate(filled, size=(value.shape[-2], value.shape[-1]), mode="bilinear", align_corners=False)
        filled = value + (1 - weight) * wider
    return filled


def fill_by_region(photo: Tensor, hole: Tensor, ids: Tensor, planes: Tensor) -> Tensor:
    """Return photos whose holes are filled region by region: hair with hair, skin with skin.

    A place in the hole takes the colour of its region nearby, and the detail of its region at the place that is its
    reflection in the region's nearest visible place: texture goes on beyond the edge as it comes to it. Where no
    reflection lies in the region there is its colour alone; where the photo shows nothing of a region, the fill of
    :func:`fill_smoothly`.

    Args:
        photo: (N, 3, H, W) in [-1, 1]; where ``hole`` is 1 it is not read.
        hole: (N, 1, H, W), 1 inside.
        ids: class ids (N, H, W) of what the filled photo should show.
        planes: the same as one-hot planes (N, classes, H, W).

    Returns:
        (N, 3, H, W) float32 in [-1, 1].
    """
    # In full precision: of reduced means of places, reflections would be pixels off.
    with torch.autocast(photo.device.type, enabled=False):
        return _fill_by_region(photo.float(), hole.float(), ids.long(), planes.float())


def _fill_by_region(photo: Tensor, hole: Tensor, ids: Tensor, planes: Tensor) -> Tensor:
    count, _, height, width = planes.shape
    # Classes that no hole wants are left out: most of the work is a class's.
    wanted = (planes * hole).sum((0, 2, 3)).nonzero().flatten()
    if not len(wanted):
        return photo
    rank = torch.zeros(planes.shape[1], dtype=torch.long, device=photo.device)
    rank[wanted] = torch.arange(len(wanted), device=photo.device)
    visible = planes[:, wanted] * (1 - hole)
    cells = (min(CELLS, height), min(CELLS, width))
    weight = F.adaptive_avg_pool2d(visible, cells).flatten(2)
    place = _centres(height, width, photo.device)
    own = rank[ids][:, None]

    apart = torch.cdist(*2 * (_centres(*cells, photo.device).flatten(1).t(),))

    def everywhere(sums: Tensor, kernel: Tensor) -> Tensor:
        """Return sums (N, classes, cells) over cells as the mean of a place's own region, (N, 1, H, W)."""
        mean = (sums / (weight @ kernel).clamp_min(1e-30)).unflatten(2, cells)
        return F.interpolate(mean, size=(height, width), mode="bilinear", align_corners=False).gather(1, own)

    def around(values: Tensor, kernel: Tensor) -> Tensor:
        """Return the mean of values (M, k, H, W) over the visible pixels of a place's own region near it."""
        sums = [F.adaptive_avg_pool2d(visible * value[:, None], cells).flatten(2) for value in values.unbind(1)]
        return torch.cat([everywhere(each @ kernel, kernel) for each in sums], dim=1)

    near, wide = torch.exp(-NEAREST * apart), torch.exp(-AROUND * apart)
    nearest, colour = around(place[None], near), around(photo, wide)
    cell = torch.tensor([width / cells[1], height / cells[0]], device=photo.device)[:, None, None]
    reach = ((nearest - place) / cell).norm(dim=1, keepdim=True)
    towards = (reach + 1) / (everywhere(weight @ (near * apart), near) + 1)
    detailed = ((towards - TOWARDS[0]) / (TOWARDS[1] - TOWARDS[0])).clamp(0, 1)
    # Beyond the border grid_sample gives zeros: class 0 of none of the photo. So ids are shifted by one there.
    known = ids[:, None] + 1
    shown = torch.where(hole > 0, torch.zeros_like(known), known).float()
    found = torch.zeros_like(hole, dtype=torch.bool)
    grid = torch.zeros(count, height, width, 2, device=photo.device)
    scale = torch.tensor([2 / width, 2 / height], device=photo.device)
    for share in REFLECTIONS:
        tried = (nearest + share * (nearest - place)).permute(0, 2, 3, 1) * scale - 1
        hit = (F.grid_sample(shown, tried, mode="nearest", align_corners=False) == known) & ~found
        grid = torch.where(hit[:, 0, ..., None], tried, grid)
        found = found | hit
    detail = F.grid_sample((photo - colour) * (1 - hole), grid, align_corners=False) * (found * detailed)
    seen = (weight.sum(2) > 0).gather(1, own.flatten(1)).view_as(hole)
    filled = torch.where(seen, (colour + detail).clamp(-1, 1), fill_smoothly(photo, hole))
    return torch.where(hole > 0, filled, photo)


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return x and y of the centres of pixels or cells, (2, height, width), counted in them."""
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
