"""Gradients in channels-last order compared with those in the usual order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from facekit.testing.contract import BrokenPromise

NEGLIGIBLE = 1e-2
"""Share of the largest gradient below which a gradient counts as so large: what it is off by may be rounding alone."""

_REMEDY = (
    "a backward pass of your own must read no strides, and give a gradient of the values it would give in the usual"
    " order; if the layer is torch's own, call it with .contiguous() tensors, and say what you found to facekit"
)


def gradients_of(total: Tensor, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a scalar by name; zeros for what does not lead to it."""
    if not total.requires_grad:
        return {}
    named = {name: tensor for name, tensor in wanted.items() if tensor.requires_grad}
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(named.items(), found, strict=True)
    }


def wrong_gradients(usual: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float) -> dict[str, float]:
    """Return by how much gradients are off, of those that are off by more than a tolerance; the worst first.

    Each is the root mean square of the difference over that of the usual gradient, or over ``NEGLIGIBLE`` of the
    largest one's, whichever is more: a bias in front of a norm has no gradient but rounding. A gradient that is not
    finite in the usual order is the matter of another promise, and is not compared.
    """
    sizes = {name: _root_mean_square(gradient) for name, gradient in usual.items() if bool(gradient.isfinite().all())}
    least = max(NEGLIGIBLE * max(sizes.values(), default=0.0), torch.finfo(torch.float32).tiny)
    off = {
        name: _root_mean_square(usual[name].double() - other[name].double()) / max(size, least)
        for name, size in sizes.items()
    }
    wrong = {name: share for name, share in off.items() if not share <= tolerance}
    return dict(sorted(wrong.items(), key=lambda entry: -entry[1]))


def check_gradients_agree(
    usual: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float, *, whose: str = ""
) -> None:
    """Compare gradients in channels-last order with those in the usual order.

    Raises:
        BrokenPromise: some are off by more than the tolerance; it names the worst.
    """
    wrong = wrong_gradients(usual, other, tolerance)
    if wrong:
        worst = [f"{name} ({share:.3g})" for name, share in list(wrong.items())[:5]]
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise BrokenPromise(
            f"in channels-last order the gradients{whose} are the same within {tolerance:g}",
            f"these are off by the share in brackets of their size: {', '.join(worst)}{more}",
            _REMEDY,
        )


def _root_mean_square(tensor: Tensor) -> float:
    return float(tensor.detach().double().square().mean().sqrt()) if tensor.numel() else 0.0
