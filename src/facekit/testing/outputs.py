"""What components gave: held to its ports, compared, and differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from facekit.interfaces import Port, map_tensors
from facekit.testing.contract import BrokenPromise
from facekit.training.network_call import mismatch

T = TypeVar("T")

NEGLIGIBLE = 1e-2
"""Share of the largest gradient below which a gradient counts as so large: what it is off by may be rounding alone."""

_ROUNDING = 1e-5

Given = Mapping[str, tuple[Tensor, ...]]
"""What a network gave, by port name."""


def expect(value: object, wanted: type, who: str) -> None:
    """Raise BrokenPromise for a result of another type."""
    if not isinstance(value, wanted):
        name = wanted.__name__
        seen = f"it returned a {type(value).__name__}"
        raise BrokenPromise(seen, f"wrap it: {name}(...)", f"{who} returns a {name}")


def check_given(port: Port, given: tuple[Tensor, ...], settled: Mapping[str, int], *, where: str) -> None:
    """Compare what a component gave with the port that declares it.

    Args:
        port: the declaration.
        given: the tensors of that name.
        settled: the numbers behind named dimensions.
        where: the circumstances, for the message.

    Raises:
        BrokenPromise: a shape, a kind of number or a range is not the declared one.
    """
    promise = f"the port {port.name!r} is what comes out"
    if not given:
        raise BrokenPromise(f"nothing of that name comes out {where}", "give it, or take it out of the ports", promise)
    if wrong := mismatch(port, given, settled):
        raise BrokenPromise(f"{wrong} {where}", "correct the ports, or what the component returns", promise)
    for tensor in given:
        if not tensor.isfinite().all():
            raise BrokenPromise(f"numbers that are not finite {where}", "find the division or logarithm", promise)
        if port.value_range is not None and tensor.is_floating_point():
            low, high = float(tensor.min()), float(tensor.max())
            if low < port.value_range[0] - _ROUNDING or high > port.value_range[1] + _ROUNDING:
                seen = f"values from {low:g} to {high:g} {where}, where {list(port.value_range)} is declared"
                raise BrokenPromise(seen, "bound them (tanh, clamp), or correct the ports", promise)


def tensors_in(container: Any) -> list[Tensor]:
    """Return every tensor of a container."""
    found: list[Tensor] = []

    def take(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(container, take)
    return found


def among_others(container: T, other: T) -> T:
    """Return a container whose first sample stays, with all others from another container."""
    rest = iter(tensors_in(other))
    return map_tensors(container, lambda tensor: torch.cat([tensor[:1], next(rest)[1:]]))


def named_floats(container: Any, name: str = "") -> dict[str, Tensor]:
    """Return the floating-point tensors in dataclasses, tuples and mappings, each by its path: ``style.code``."""
    if isinstance(container, Tensor):
        return {name: container} if container.is_floating_point() else {}
    entries: dict[str, Any] = {}
    if is_dataclass(container):
        entries = {each.name: getattr(container, each.name) for each in fields(container)}
    elif isinstance(container, Mapping):
        entries = {str(key): value for key, value in container.items()}
    elif isinstance(container, tuple):
        entries = {str(index): value for index, value in enumerate(container)}
    found: dict[str, Tensor] = {}
    for key, value in entries.items():
        found |= named_floats(value, f"{name}.{key}" if name else key)
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
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def check_gradients_agree(
    usual: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float, *, whose: str = ""
) -> None:
    """Compare gradients in channels-last order with those in the usual order.

    Each difference is its root mean square over that of the usual gradient, or over ``NEGLIGIBLE`` of the largest
    one's, whichever is more: a bias in front of a norm has no gradient but rounding. A gradient that is not finite in
    the usual order is the matter of another promise, and is not compared.

    Raises:
        BrokenPromise: some are off by more than the tolerance; it names the worst.
    """
    sizes = {name: root_mean_square(gradient) for name, gradient in usual.items() if bool(gradient.isfinite().all())}
    least = max(NEGLIGIBLE * max(sizes.values(), default=0.0), torch.finfo(torch.float32).tiny)
    off = {
        name: root_mean_square(usual[name].double() - other[name].double()) / max(size, least)
        for name, size in sizes.items()
    }
    wrong = sorted((name for name, share in off.items() if not share <= tolerance), key=lambda name: -off[name])
    if wrong:
        worst = some([f"{name} ({off[name]:.3g})" for name in wrong])
        raise BrokenPromise(
            f"these are off by the share in brackets of their size: {worst}",
            "a backward pass of your own must read no strides, and give a gradient of the values it would give in the "
            "usual order; if the layer is torch's own, call it with .contiguous() tensors, and say what you found to "
            "facekit",
            f"in channels-last order the gradients{whose} are the same within {tolerance:g}",
        )


def root_mean_square(tensor: Tensor) -> float:
    """Return the root of the mean square of a tensor; 0 for an empty one."""
    return float(tensor.detach().double().square().mean().sqrt()) if tensor.numel() else 0.0
