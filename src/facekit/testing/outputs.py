"""What networks gave, by port, and gradients in channels-last order compared with those in the usual order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facekit.interfaces import map_tensors
from facekit.testing.contract import BrokenPromise

NEGLIGIBLE = 1e-2
"""Share of the largest gradient below which a gradient counts as so large: what it is off by may be rounding alone."""

_REMEDY = (
    "a backward pass of your own must read no strides, and give a gradient of the values it would give in the usual"
    " order; if the layer is torch's own, call it with .contiguous() tensors, and say what you found to facekit"
)

Given = Mapping[str, tuple[Tensor, ...]]
"""What a network gave, by port name."""


def expect(value: object, wanted: type, who: str) -> None:
    """Raise BrokenPromise for a result of another type."""
    if not isinstance(value, wanted):
        raise BrokenPromise(
            f"{who} returns a {wanted.__name__}",
            f"it returned a {type(value).__name__}",
            f"wrap it: {wanted.__name__}(...)",
        )


def tensors_in(container: Any) -> list[Tensor]:
    """Return every tensor of a container."""
    found: list[Tensor] = []

    def take(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(container, take)
    return found


def difference(first: Given, second: Given) -> str | None:
    """Return the name of a port whose tensors are not equal bit for bit; None where all are."""
    for name, tensors in first.items():
        others = second.get(name, ())
        if len(tensors) != len(others) or not all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True)):
            return name
    return None


def some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


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
