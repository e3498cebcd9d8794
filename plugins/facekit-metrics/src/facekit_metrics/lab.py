"""CIE Lab: colours in which distances are about as large as they look."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.faces import D65, SRGB_TO_XYZ


def lab(image: Tensor) -> Tensor:
    """Return the CIE 1976 L*a*b* colours (D65, 2 degree observer) of sRGB pictures.

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
