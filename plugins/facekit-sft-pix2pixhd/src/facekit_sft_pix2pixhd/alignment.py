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
    from_square, to_square = _covariance(target), _covariance(reference)
    root = _square_root(from_square)
    back = _inverse(root)
    matrix = back @ _square_root(root @ to_square @ root) @ back
    from_mean, to_mean = target[..., 1:3, None], reference[..., 1:3, None]
    found = torch.cat([matrix, to_mean - matrix @ from_mean], dim=-1)
    identity = torch.eye(2, 3, device=target.device).expand_as(found)
    return torch.where(shown(target, reference)[..., None, None], found, identity)


def shown(target: Tensor, reference: Tensor) -> Tensor:
    """Return which regions both have, (N, classes) bool, from their moments."""
    return (target[..., 0] > SMALLEST_SHARE) & (reference[..., 0] > SMALLEST_SHARE)


def sampling_grid(mask: Tensor, maps: Tensor) -> Tensor:
    """Return where in the reference each pixel of a mask lies.

    Args:
        mask: class ids (N, H, W).
        maps: (N, classes, 2, 3) of :func:`affine_maps`.

    Returns:
        (N, H, W, 2) float32 in the coordinates of ``torch.nn.functional.grid_sample`` without aligned corners.
    """
    count, height, width = mask.shape
    place = pixel_centres(height, width, mask.device)
    place = torch.cat([place, torch.ones_like(place[:, :1])], dim=1)
    classes = maps.shape[1]
    rows = mask.flatten(1) + classes * torch.arange(count, device=mask.device)[:, None]
    own = F.embedding(rows, maps.flatten(0, 1).flatten(1)).unflatten(2, (2, 3))
    return (own * place[None, :, None]).sum(-1).unflatten(1, (height, width))


def _covariance(moments: Tensor) -> Tensor:
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


def _inverse(matrix: Tensor) -> Tensor:
    (a, b), (c, d) = matrix[..., 0, :].unbind(-1), matrix[..., 1, :].unbind(-1)
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=-2)
    return adjugate / _determinant(matrix)[..., None, None]
