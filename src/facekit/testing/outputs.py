"""What networks gave, by port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from facekit.testing.contract import BrokenPromise

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


def tensors_of(given: Given) -> Iterator[Tensor]:
    """Yield the tensors of all ports."""
    for tensors in given.values():
        yield from tensors


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


def same(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors are equal bit for bit; what is not a number in both is."""
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
