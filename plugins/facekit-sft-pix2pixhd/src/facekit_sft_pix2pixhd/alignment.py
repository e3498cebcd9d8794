"""Where the regions of one mask lie in another: an affine map for every class, from the moments of its pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MOMENTS = 6
"""Numbers that describe where a region lies: its share of the image, mean x and y, variances of x and y, covariance."""

SMALLEST_DEVIATION = 0.01
"""Added, squared, to the variances of every region: half a pixel of 100, so that lines and dots can be mapped."""

SMALLEST_SHARE = 1e-4
"""Share of the image below which a region counts as absent: one pixel at 100x100."""

LARGEST_NEIGHBOUR = 0.25
"""Area of a region that other places follow, too, as a share of the area of their own region: brows, eyes, nose and
lips move the skin around them; hair, whose place says little of the face, moves none."""

REACH = 2.0
"""Deviations of the normal distributions by which regions move what is near, as multiples of those of the regions."""

TRIES = (0.85, 1.2, 0.7, 1.4, 0.5, 1.8)
"""Factors on a place's distance from the middle of its region, tried in turn until it lies in the region."""


def pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return the x and y of every pixel's centre, (height * width, 2) float32; the image spans [-1, 1] both ways."""
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * (2 / height) - 1
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * (2 / width) - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2).flatten(0, 1)


def region_moments(planes: Tensor) -> Tensor:
    """Return where every region lies.

    Args:
        planes: one-hot planes (N, classes, H, W).

    Returns:
        (N, classes, 6) float32, see :data:`MOMENTS`; zeros for absent regions.
    """
    with torch.autocast(planes.device.type, enabled=False):
        member = planes.flatten(2).float()
        place = pixel_centres(planes.shape[-2], planes.shape[-1], planes.device)
        x, y = place.unbind(1)
        terms = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=1)
        sums = member @ terms
        count = sums[..., :1]
        mean_x, mean_y, xx, yy, xy = (sums[..., 1:] / count.clamp_min(1)).unbind(-1)
        variances = torch.stack([xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y], dim=-1)
        share = count / member.shape[2]
        return torch.cat([share, mean_x[..., None], mean_y[..., None], variances], dim=-1)


def affine_maps(target: Tensor, reference: Tensor) -> Tensor:
    """Return the maps that take the places of target regions to those of the same regions of references.

    A map takes mean to mean and covariance to covariance, and turns as little as it can: the optimal transport between
    two normal distributions (Dowson and Landau, 1982). For equal regions it is the identity.

    Args:
        target: moments (N, classes, 6) of the wanted masks.
        reference: moments of the references.

    Returns:
        (N, classes, 2, 3), from (x, y, 1) of the target to (x, y) of the reference; the identity for regions that one
        of the two lacks.
    """
    from_square, to_square = covariance(target), covariance(reference)
    root = _square_root(from_square)
    back = inverse(root)
    matrix = back @ _square_root(root @ to_square @ root) @ back
    from_mean, to_mean = target[..., 1:3, None], reference[..., 1:3, None]
    found = torch.cat([matrix, to_mean - matrix @ from_mean], dim=-1)
    identity = torch.eye(2, 3, device=target.device).expand_as(found)
    return torch.where(shown(target, reference)[..., None, None], found, identity)


def shown(target: Tensor, reference: Tensor) -> Tensor:
    """Return which regions both have, (N, classes) bool, from their moments."""
    return (target[..., 0] > SMALLEST_SHARE) & (reference[..., 0] > SMALLEST_SHARE)


def sampling_grid(mask: Tensor, maps: Tensor, target: Tensor, reference: Tensor) -> Tensor:
    """Return where in the reference each pixel of a mask lies.

    A place follows the map of its own region and those of much smaller regions near it, so that the skin beside a brow
    is taken from beside the reference's brow, and no place lands on a brow that the mask has elsewhere. Each map counts
    by the density at the place of a normal distribution about its region.

    Args:
        mask: class ids (N, H, W).
        maps: (N, classes, 2, 3) of :func:`affine_maps`.
        target: moments (N, classes, 6) of the mask.
        reference: moments of the references.

    Returns:
        (N, H, W, 2) float32 in the coordinates of ``torch.nn.functional.grid_sample`` without aligned corners.
    """
    count, height, width = mask.shape
    classes = maps.shape[1]
    x, y = pixel_centres(height, width, mask.device).unbind(1)
    one = torch.ones_like(x)
    density = _log_density(target) @ torch.stack([one, x, y, x * x, y * y, x * y])
    area = target[..., 0]
    small = (area[:, None] <= area[..., None] * LARGEST_NEIGHBOUR) & shown(target, reference)[:, None]
    counted = small | torch.eye(classes, dtype=torch.bool, device=mask.device)
    rows = mask.flatten(1) + classes * torch.arange(count, device=mask.device)[:, None]
    own = F.embedding(rows, counted.flatten(0, 1).float())
    share = (density.transpose(1, 2) + own.log()).softmax(dim=2)
    blended = (share @ maps.flatten(2)).unflatten(2, (2, 3))
    place = torch.stack([x, y, one], dim=1)
    return (blended * place[None, :, None]).sum(-1).unflatten(1, (height, width))


def land_in_region(
    grid: Tensor, mask: Tensor, ids: Tensor, reference: Tensor, movable: Tensor
) -> tuple[Tensor, Tensor]:
    """Say which places lie in the region they stand for, and move some of the others into it.

    A map between two skins lands on the hair of one where the other has none. For skin there are no features then,
    since those of elsewhere would be a light or a spot that is wrong here. For hair those of elsewhere have the right
    texture: its places are moved to or from the middle of their region by :data:`TRIES`, until they lie in it.

    Args:
        grid: (N, H, W, 2) of :func:`sampling_grid`.
        mask: the class ids (N, H, W) that the places stand for.
        ids: class ids (N, h, w) of the reference.
        reference: its moments (N, classes, 6).
        movable: which places may be moved, (N, H, W) bool.

    Returns:
        the places, and which of them lie in their region, (N, H, W) bool. Those that do not are where they were.
    """
    flat = mask.flatten(1)
    middle = reference[..., 1:3].gather(1, flat[..., None].expand(-1, -1, 2)).view(grid.shape)
    planes = ids[:, None].float()
    found = F.grid_sample(planes, grid, mode="nearest", align_corners=False)[:, 0] == mask
    for factor in TRIES:
        tried = middle + factor * (grid - middle)
        # Beyond the border all is read as class 0.
        inside = (tried.abs() <= 1).all(dim=-1)
        hit = F.grid_sample(planes, tried, mode="nearest", align_corners=False)[:, 0] == mask
        hit &= inside & movable & ~found
        grid = torch.where(hit[..., None], tried, grid)
        found = found | hit
    return grid, found


def _log_density(moments: Tensor) -> Tensor:
    """Return the logarithm of every region's normal density, up to a constant, as factors of (1, x, y, x², y², xy).

    Args:
        moments: (N, classes, 6).

    Returns:
        (N, classes, 6).
    """
    spread = covariance(moments) * REACH**2
    first, second = inverse(spread).unbind(-2)
    (a, b), c = first.unbind(-1), second[..., 1]
    x, y = moments[..., 1], moments[..., 2]
    constant = -0.5 * (a * x * x + c * y * y + 2 * b * x * y + _determinant(spread).log())
    return torch.stack([constant, a * x + b * y, b * x + c * y, -0.5 * a, -0.5 * c, -b], dim=-1)


def covariance(moments: Tensor) -> Tensor:
    """Return the covariances (..., 2, 2) of regions from their moments (..., 6); never singular."""
    xx, yy, xy = moments[..., 3:].unbind(-1)
    xx, yy = xx.clamp_min(0) + SMALLEST_DEVIATION**2, yy.clamp_min(0) + SMALLEST_DEVIATION**2
    return torch.stack([torch.stack([xx, xy], dim=-1), torch.stack([xy, yy], dim=-1)], dim=-2)


def _determinant(matrix: Tensor) -> Tensor:
    return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]


def _square_root(matrix: Tensor) -> Tensor:
    """Return the square root of symmetric positive definite 2x2 matrices, in closed form."""
    area = _determinant(matrix).clamp_min(1e-16).sqrt()[..., None, None]
    trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return (matrix + area * torch.eye(2, device=matrix.device)) / (trace + 2 * area).sqrt()


def inverse(matrix: Tensor) -> Tensor:
    """Return the inverses of matrices (..., 2, 2)."""
    (a, b), (c, d) = matrix[..., 0, :].unbind(-1), matrix[..., 1, :].unbind(-1)
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=-2)
    return adjugate / _determinant(matrix)[..., None, None]
