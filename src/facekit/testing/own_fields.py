"""The fields that a model family adds: the port ``style.mean`` is the field ``mean`` of a subclass of ``Style``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from facekit.interfaces import Port
from facekit.testing.port_inputs import Settled, number

T = TypeVar("T")

_CORE_PORTS = frozenset({"generated.pyramid", "discriminated.features", "discriminated.class_logits"})
"""Ports of the core that have a dot in their name."""


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


def with_rows_of(container: T, row: slice, other: T) -> T:
    """Return a dataclass of tensors with the rows of another one in some places."""
    changed = {}
    for each in fields(cast("Any", container)):
        mine, theirs = getattr(container, each.name), getattr(other, each.name)
        if isinstance(mine, Tensor):
            changed[each.name] = mine.clone()
            changed[each.name][row] = theirs[row]
    return cast("T", replace(cast("Any", container), **changed))


class OwnFields(nn.Module):
    """Gives the fields of a family's own ports, computed from features, and what depends on them.

    Args:
        ports: the ports by field. Numbers have the range of the port; class ids carry no gradient.
        features: numbers in the features of a sample.
        outputs: numbers that depend on the fields, so that a loss can differentiate a result by them.
        settled: the numbers behind named dimensions.
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
