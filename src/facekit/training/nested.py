"""Nested data of tensors and numbers as tensors by name, exactly, and back: what optimisers know of a weight.

``{"step": 3, "factors": [a, b]}`` becomes ``step!int``, ``factors[0]`` and ``factors[1]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_NUMBERS: Mapping[type, torch.dtype] = {bool: torch.bool, int: torch.int64, float: torch.float64}
_NONE, _EMPTY_LIST, _EMPTY_TUPLE, _EMPTY_MAP = "!none", "!list", "!tuple", "!map"
_ON_CPU = "!cpu"
_INNER = re.compile(r"\[(?P<item>\d+)\]|\((?P<member>\d+)\)|\{(?P<key>[^{}]*)\}")
_UNFIT = re.compile(r"[/!\[\](){}]")
"""What no key of a map may hold, since names are made of it."""


class CannotFlatten(ValueError):
    """Something that is no tensor, number, truth value, None, list, tuple or map of these; the message names it."""


def flatten(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    """Yield a value as tensors by names that begin with ``name``. No number is changed.

    A tensor of a single number that lies on the CPU says so in its name: optimisers keep counts there on purpose,
    wherever the weights are.

    Raises:
        CannotFlatten: something in it is of another kind.
    """
    if isinstance(value, Tensor):
        yield (f"{name}{_ON_CPU}" if value.dim() == 0 and value.device.type == "cpu" else name), value
    elif value is None:
        yield f"{name}{_NONE}", torch.zeros(1)
    elif type(value) in _NUMBERS:
        yield f"{name}!{type(value).__name__}", torch.tensor(value, dtype=_NUMBERS[type(value)])
    elif type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        left, right, empty = ("[", "]", _EMPTY_LIST) if isinstance(value, list) else ("(", ")", _EMPTY_TUPLE)
        if not value:
            yield f"{name}{empty}", torch.zeros(1)
        for index, inner in enumerate(value):
            yield from flatten(f"{name}{left}{index}{right}", inner)
    elif isinstance(value, Mapping):
        if not value:
            yield f"{name}{_EMPTY_MAP}", torch.zeros(1)
        for key, inner in value.items():
            if not isinstance(key, str) or _UNFIT.search(key):
                raise CannotFlatten(f"{name} is a map with the key {key!r}")
            yield from flatten(f"{name}{{{key}}}", inner)
    else:
        raise CannotFlatten(f"{name} is of type {type(value).__name__}")


def nest(named: Mapping[str, Tensor], device: torch.device) -> dict[str, Any]:
    """Return what :func:`flatten` made tensors of, by the names it was given.

    Args:
        device: where tensors go that did not lie on the CPU on purpose.
    """
    found: dict[str, Any] = {}
    inner: dict[str, dict[str, Tensor]] = {}
    for name, tensor in named.items():
        start = min((at for at in map(name.find, "[({!") if at >= 0), default=len(name))
        inner.setdefault(name[:start], {})[name[start:]] = tensor
    for name, parts in inner.items():
        found[name] = _value(parts, device)
    return found


def _value(parts: Mapping[str, Tensor], device: torch.device) -> Any:
    (first, tensor), *_ = parts.items()
    if first in ("", _ON_CPU):
        return tensor.clone() if first else tensor.to(device, copy=True)
    if first.startswith("!"):
        empty: dict[str, Any] = {_NONE: None, _EMPTY_LIST: [], _EMPTY_TUPLE: (), _EMPTY_MAP: {}}
        return empty[first] if first in empty else tensor.item()
    inner: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, each in parts.items():
        match = _INNER.match(name)
        assert match is not None, name
        kind = match.lastgroup or ""
        inner.setdefault((kind, match[kind]), {})[name[match.end() :]] = each
    values = {key: _value(each, device) for (_, key), each in inner.items()}
    kind = next(iter(inner))[0]
    if kind == "key":
        return values
    items = [values[key] for key in sorted(values, key=int)]
    return items if kind == "item" else tuple(items)
