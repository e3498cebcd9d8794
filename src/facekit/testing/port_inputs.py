"""Tensors made of ports, ports compared with tensors, and the fields that a model family adds.

The port ``style.mean`` is the field ``mean`` of a subclass of ``Style``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from facekit.interfaces import Port
from facekit.testing.contract import UNSETTLED_DIMENSION, BrokenPromise

T = TypeVar("T")

_CORE_PORTS = frozenset({"generated.pyramid", "discriminated.features", "discriminated.class_logits"})
"""Ports of the core that have a dot in their name."""

Settled = Mapping[str, int]
"""Numbers behind named dimensions."""

_ROUNDING = 1e-5

_FIELDS = frozenset({"image", "mask", "attributes", "style", "reference", "generated", "discriminated"})
"""What components are given in fields of their own; ports of all other names are among the extra tensors."""


def is_extra(name: str) -> bool:
    """Return whether the tensor of a port is among the extra tensors of a batch and a condition."""
    return name.split(".")[0] not in _FIELDS


def make_extra(needs: Iterable[Port], settled: Settled, random: torch.Generator) -> dict[str, Tensor]:
    """Return random tensors for the ports that are among the extra tensors; noise too.

    A dimension that has no number is UNSETTLED_DIMENSION long.
    """
    extra = {}
    for port in needs:
        if is_extra(port.name):
            names = {side: UNSETTLED_DIMENSION for side in (*port.shape, port.classes) if isinstance(side, str)}
            extra[port.name] = make(port, {**names, **settled}, random)
    return extra


def make(port: Port, settled: Settled, random: torch.Generator) -> Tensor:
    """Return a random tensor as a port describes it."""
    shape = tuple(number(dimension, settled) for dimension in port.shape)
    if port.dtype == "class_ids":
        classes = number(port.classes, settled) if port.classes is not None else 2
        return blobs(shape, classes, random)
    if port.dtype == "binary":
        return (torch.rand(shape, generator=random) < 0.5).float()
    if port.value_range is None:
        return torch.randn(shape, generator=random)
    low, high = port.value_range
    return torch.rand(shape, generator=random) * (high - low) + low


def blobs(shape: Sequence[int], classes: int, random: torch.Generator) -> Tensor:
    """Return class ids int64 that hang together as those of a mask do: blocks of a quarter of the side.

    Every class has a block somewhere in the batch. Where a quarter of the side leaves too few blocks for that, they are
    smaller: down to a pixel each, after which classes are missing.
    """
    *front, height, width = shape
    masks = torch.Size(front).numel()
    side = 4
    while masks * side**2 < classes and side < min(height, width):
        side = min(2 * side, height, width)
    count = masks * side**2
    ids = torch.randint(0, classes, (count,), generator=random)
    shown = torch.randperm(classes, generator=random)[:count]
    ids[torch.randperm(count, generator=random)[: len(shown)]] = shown
    coarse = ids.reshape(*front, side, side)
    rows = torch.arange(height) * side // height
    columns = torch.arange(width) * side // width
    return coarse[..., rows[:, None], columns[None, :]]


def number(dimension: int | str | None, settled: Settled) -> int:
    """Return the number of a dimension."""
    if isinstance(dimension, int):
        return dimension
    return settled[str(dimension)]


def check_given(port: Port, given: Sequence[Tensor], settled: Settled, *, where: str) -> None:
    """Compare what a component gave with the port that declares it.

    Args:
        port: the declaration. A discriminator_output's port declares the first dimensions only; all others declare all
            of them.
        given: the tensors of that name.
        settled: the numbers behind named dimensions.
        where: the circumstances, for the message.

    Raises:
        BrokenPromise: a shape, a kind of number or a range is not the declared one.
    """
    promise = f"the port {port.name!r} is what comes out"
    if not given:
        raise BrokenPromise(promise, f"nothing of that name comes out {where}", "give it, or take it out of the ports")
    expected = tuple(number(dimension, settled) for dimension in port.shape)
    prefix = port.name == "discriminated" or port.name in ("discriminated.features", "generated.pyramid")
    for tensor in given:
        shape = tuple(tensor.shape)
        if (shape[: len(expected)] if prefix else shape) != expected:
            declared = " x ".join(str(dimension) for dimension in port.shape)
            raise BrokenPromise(
                promise,
                f"the shape {shape} {where}, where ({declared}) = {expected} is declared",
                "correct the ports, or what the component returns",
            )
        whole = not tensor.is_floating_point()
        if whole != (port.dtype == "class_ids"):
            raise BrokenPromise(promise, f"numbers of the type {tensor.dtype} {where}", f"declared is {port.dtype}")
        if not whole and not bool(torch.isfinite(tensor).all()):
            raise BrokenPromise(promise, f"numbers that are not finite {where}", "find the division or logarithm")
        if port.value_range is not None and not whole:
            low, high = float(tensor.min()), float(tensor.max())
            if low < port.value_range[0] - _ROUNDING or high > port.value_range[1] + _ROUNDING:
                raise BrokenPromise(
                    promise,
                    f"values from {low:g} to {high:g} {where}, where {list(port.value_range)} is declared",
                    "bound them (tanh, clamp), or correct the ports",
                )


def own_ports(ports: Iterable[Port], prefix: str) -> dict[str, Port]:
    """Return the ports of a family's own fields, by field: ``mean`` for the port ``style.mean``."""
    return {
        port.name.removeprefix(f"{prefix}."): port
        for port in ports
        if port.name.startswith(f"{prefix}.") and port.name not in _CORE_PORTS
    }


def with_own_fields(container: T, values: Mapping[str, Tensor]) -> T:
    """Return a container of the core with fields of a family, as an object of a subclass."""
    if not values:
        return container
    core = {each.name: getattr(container, each.name) for each in fields(cast("Any", container))}
    return cast("T", _subclass(cast("Any", type(container)), tuple(values))(**core, **values))


@cache
def _subclass(core: type, names: tuple[str, ...]) -> type:
    own = [(name, Any, field(kw_only=True)) for name in names]
    return make_dataclass(f"Bench{core.__name__}", own, bases=(core,), frozen=True)


def named_floats(container: Any, name: str = "") -> dict[str, Tensor]:
    """Return the floating-point tensors in dataclasses, tuples and mappings, each by its path: ``style.code``."""
    if isinstance(container, Tensor):
        return {name: container} if container.is_floating_point() else {}
    if is_dataclass(container) and not isinstance(container, type):
        entries = [(each.name, getattr(container, each.name)) for each in fields(container)]
    elif isinstance(container, Mapping):
        entries = [(str(key), value) for key, value in container.items()]
    elif isinstance(container, tuple):
        entries = [(str(index), value) for index, value in enumerate(container)]
    else:
        return {}
    found: dict[str, Tensor] = {}
    for key, value in entries:
        found |= named_floats(value, f"{name}.{key}" if name else key)
    return found


class OwnFields(nn.Module):
    """The fields of a family's own ports, computed from ``features`` numbers a sample.

    ``outputs`` numbers depend on the fields, so that a loss can differentiate a result by them. Class ids carry no
    gradient.
    """

    def __init__(self, ports: Mapping[str, Port], *, features: int, outputs: int, settled: Settled) -> None:
        super().__init__()
        self.ports = dict(ports)
        self.shapes = {
            name: tuple(number(dimension, settled) for dimension in port.shape[1:]) for name, port in ports.items()
        }
        self.classes = {name: number(port.classes, settled) for name, port in ports.items() if port.classes is not None}
        self.give = nn.ModuleList(nn.Linear(features, torch.Size(shape).numel()) for shape in self.shapes.values())
        self.read = nn.ModuleList(nn.Linear(torch.Size(shape).numel(), outputs) for shape in self.shapes.values())

    def forward(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the fields of features (N, F), by name, and numbers (N, O) that depend on them."""
        given: dict[str, Tensor] = {}
        total = torch.zeros((), device=features.device)
        for (name, port), give, read in zip(self.ports.items(), self.give, self.read, strict=True):
            values = give(features)
            if port.dtype == "class_ids":
                classes = self.classes[name]
                values = (values.sigmoid() * classes).long().clamp(max=classes - 1)
            elif port.value_range is not None or port.dtype == "binary":
                low, high = port.value_range or (0.0, 1.0)
                values = values.sigmoid() * (high - low) + low
            given[name] = values.reshape(len(features), *self.shapes[name])
            total = total + read(given[name].reshape(len(features), -1).to(features.dtype))
        return given, total
