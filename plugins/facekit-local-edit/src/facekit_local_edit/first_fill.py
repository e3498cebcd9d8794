"""What a hole begins with, before the network changes it: the colours around it, and the texture of its regions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 32
"""Most squares a side of the image in which visible pixels of a region are counted."""

NEAREST, AROUND = 1.5, 1.0
"""How fast the weight of a cell falls with its distance, per cell, by exp(-x): for where the nearest pixels of a region
are, and for the colour around a place."""

TOWARDS = (0.25, 0.6)
"""How far the mean place of a region is, as a share of the mean distance to it, where detail is faded out and where it
is in full: amid a hole that the region surrounds, its places lie on all sides, and reflections would meet in a star."""

RIM = 3
"""Pixels around a hole at which the fill is compared with the photo."""

SMALLEST = 1e-30
"""Least sum of weights that is divided by: that of a cell in the opposite corner is larger."""

SHOWN = (0.3, 1.0)
"""Visible pixels of a region, as a share of those that the hole wants of it, from which on they give detail, and from
which on in full."""

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


def fill_by_region(photo: Tensor, hole: Tensor, ids: Tensor, planes: Tensor, textured: Tensor) -> tuple[Tensor, Tensor]:
    """Fill holes region by region: hair with hair, cloth with cloth.

    A place in the hole takes the colour of its region nearby, and the detail of its region at the place that is its
    reflection in the region's nearest visible place: texture goes on beyond the edge as it comes to it. Where no
    reflection lies in the region, or the photo shows too little of it, there is what :func:`fill_smoothly` gives. A rim
    around the hole is filled as well and compared with the photo; the difference goes on into the hole, so that no edge
    shows.

    Args:
        photo: (N, 3, H, W) in [-1, 1]; where ``hole`` is 1 it is not read.
        hole: (N, 1, H, W), 1 inside.
        ids: class ids (N, H, W) of what the filled photo should show.
        planes: the same as one-hot planes (N, classes, H, W).
        textured: (classes,), 1 for regions that go on so; others are filled smoothly. Skin is one of them: what lies
            beside a hole in it is the shadow of what the hole takes away.

    Returns:
        the photos, (N, 3, H, W) float32 in [-1, 1], and how much of the detail of its region a place has, (N, 1, H, W)
        in [0, 1]; 0 outside the hole.
    """
    # In full precision: of reduced means of places, reflections would be pixels off.
    with torch.autocast(photo.device.type, enabled=False):
        photo, hole, ids, planes = photo.float(), hole.float(), ids.long(), planes.float()
        grown = F.max_pool2d(hole, 2 * RIM + 1, stride=1, padding=RIM)
        filled, detailed = _fill_by_region(photo, grown, ids, planes, textured.float())
        rim = grown - hole
        edge = fill_smoothly((photo - filled) * rim, 1 - rim)
        return torch.where(hole > 0, (filled + edge).clamp(-1, 1), photo), detailed * hole


def _fill_by_region(
    photo: Tensor, hole: Tensor, ids: Tensor, planes: Tensor, textured: Tensor
) -> tuple[Tensor, Tensor]:
    count, _, height, width = planes.shape
    side = max(1, -(-max(height, width) // CELLS))
    rows, columns = -(-height // side), -(-width // side)
    # Sums over the visible pixels of every class in every cell: how many, where they lie, their colours.
    place = _centres(height, width, photo.device).expand(count, -1, -1, -1)
    seen = 1 - hole
    values = torch.cat([seen, place * seen, photo * seen], dim=1)
    sums = _by_cell(planes, side) @ _by_cell(values, side).transpose(2, 3)
    sums = sums.permute(0, 3, 2, 1)  # N, 6, classes, cells
    middle = _centres(rows, columns, photo.device).flatten(1).t()
    apart = torch.cdist(middle, middle)
    near, wide = torch.exp(-NEAREST * apart), torch.exp(-AROUND * apart)

    own = ids[:, None] * (rows * columns)
    corners, shares = _corners(place[:1] / side, rows, columns)

    def at_places(cells: Tensor) -> Tensor:
        """Return values (N, k, classes, cells) of cells at every place, for its own class, (N, k, H, W)."""
        flat = cells.flatten(2)
        found = torch.zeros(count, flat.shape[1], height * width, device=photo.device)
        for corner, share in zip(corners, shares, strict=True):
            index = (own + corner).flatten(2).expand(-1, flat.shape[1], -1)
            found = found + share.flatten(2) * flat.gather(2, index)
        return found.unflatten(2, (height, width))

    weight = sums[:, :1]
    total = (weight @ near).clamp_min(SMALLEST)
    nearest = at_places(sums[:, 1:3] @ near / total)
    distance = at_places(weight @ (near * apart) / total)
    colour = at_places(sums[:, 3:] @ wide / (weight @ wide).clamp_min(SMALLEST))
    towards = ((nearest - place).norm(dim=1, keepdim=True) / side + 1) / (distance + 1)
    detailed = ((towards - TOWARDS[0]) / (TOWARDS[1] - TOWARDS[0])).clamp(0, 1)
    # A sliver of a lip does not tell how the lip goes on.
    enough = ((planes * seen).sum((2, 3)) / (planes * hole).sum((2, 3)).clamp_min(1) - SHOWN[0]) / (SHOWN[1] - SHOWN[0])
    enough = enough.clamp(0, 1) * textured
    detailed = detailed * enough.gather(1, ids.flatten(1)).view_as(hole)
    # grid_sample gives zeros beyond the border, so that no class may be 0.
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
    detailed = detailed * found
    detail = F.grid_sample((photo - colour) * seen, grid, align_corners=False)
    filled = torch.lerp(fill_smoothly(photo, hole), (colour + detail).clamp(-1, 1), detailed)
    return torch.where(hole > 0, filled, photo), detailed


def _by_cell(planes: Tensor, side: int) -> Tensor:
    """Return planes (N, k, H, W) by cells of ``side`` pixels, (N, cells, k, side * side); zeros beyond the image."""
    height, width = planes.shape[-2:]
    padded = F.pad(planes, (0, -width % side, 0, -height % side))
    cells = padded.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # N, k, rows, side, columns, side
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(4).flatten(1, 2)


def _corners(place: Tensor, rows: int, columns: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the four cells around places (1, 2, H, W), counted in cells, and what each counts between them."""
    x, y = (place - 0.5).unbind(1)
    left, top = x.floor(), y.floor()
    corners, shares = [], []
    for down in (0, 1):
        for right in (0, 1):
            row, column = (top + down).clamp(0, rows - 1), (left + right).clamp(0, columns - 1)
            corners.append((row * columns + column).long()[:, None])
            shares.append(((1 - (x - left - right).abs()) * (1 - (y - top - down).abs()))[:, None])
    return corners, shares


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return x and y of the centres of pixels or cells, (2, height, width), counted in them."""
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
