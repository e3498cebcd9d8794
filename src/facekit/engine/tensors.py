"""Working on all tensors of a container at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")


def map_tensors(container: T, function: Callable[[Tensor], Tensor]) -> T:
    """Return a container (a dataclass, a tuple, a tensor) with a function applied to every tensor in it.

    Subclasses of :class:`facekit.interfaces.Generated` keep their type and have their own fields mapped too.
    """
    if isinstance(container, Tensor):
        return cast("T", function(container))
    if isinstance(container, tuple):
        return cast("T", tuple(map_tensors(entry, function) for entry in container))
    if is_dataclass(container) and not isinstance(container, type):
        changed = {
            field.name: map_tensors(getattr(container, field.name), function)
            for field in fields(container)
            if field.init
        }
        return cast("T", replace(cast("Any", container), **changed))
    return container


def detach(container: T) -> T:
    """Return a container cut from the graph that made it."""
    return map_tensors(container, Tensor.detach)


def to_float32(container: T, *, copy: bool = False) -> T:
    """Return a container whose half-precision tensors are float32; others stay as they are, or are copied."""

    def convert(tensor: Tensor) -> Tensor:
        if tensor.dtype in (torch.bfloat16, torch.float16):
            return tensor.float()
        return tensor.clone() if copy else tensor

    return map_tensors(container, convert)


def concatenate(containers: Sequence[T]) -> T:
    """Return containers of one type joined along the samples.

    Raises:
        ValueError: a field is a tensor in some and None in others, or tuples differ in length.
    """
    first = containers[0]
    if len(containers) == 1:
        return first
    if isinstance(first, Tensor):
        return cast("T", torch.cat(cast("list[Tensor]", list(containers))))
    if isinstance(first, tuple):
        return cast("T", tuple(concatenate(entries) for entries in zip(*cast("Any", containers), strict=True)))
    if is_dataclass(first) and not isinstance(first, type):
        joined = {
            field.name: concatenate([getattr(container, field.name) for container in containers])
            for field in fields(first)
        }
        return cast("T", replace(cast("Any", first), **joined))
    if any(container != first for container in containers[1:]):
        raise ValueError(f"cannot join {containers!r} along the samples")
    return first
