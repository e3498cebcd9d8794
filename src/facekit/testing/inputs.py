"""Random inputs as ports describe them, for networks, losses and metrics; and the fields that a model family adds.

The port ``style.mean`` is the field ``mean`` of a subclass of ``Style``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import GENERATED_PYRAMID, Condition, Port, Reference, Style
from facekit.testing.contract import UNSETTLED_DIMENSION

T = TypeVar("T")

_CORE_PORTS = frozenset({"generated.pyramid", "discriminated.features", "discriminated.class_logits"})
"""Ports of the core that have a dot in their name."""

_FIELDS = frozenset({"image", "mask", "attributes", "style", "reference", "generated", "discriminated"})
"""What components are given in fields of their own; ports of all other names are among the extra tensors."""

_COARSEST = 4
"""Side of the coarsest level of a pyramid."""

Settled = Mapping[str, int]
"""Numbers behind named dimensions; others are UNSETTLED_DIMENSION."""


@dataclass(frozen=True)
class Inputs:
    """What a network may be given.

    Args:
        image: photos (N, 3, S, S) in [-1, 1], or the images that a discriminator sees.
        mask: class ids (N, S, S).
        style: the style, where one is needed.
        attributes: (N, A); None where none are needed.
        reference: a reference photo and its mask in the condition, or nothing.
        pyramid: the images at half the size and so on down to 4 pixels, for networks that need ``generated.pyramid``.
        extra: noise, and a family's own tensors, by the names of their ports.
        tensors: what is needed by the names of the ports, in their order.
    """

    image: Tensor
    mask: Tensor
    style: Style | None
    attributes: Tensor | None
    reference: tuple[Tensor, Tensor] | None
    pyramid: tuple[Tensor, ...] = ()
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        """What a generator and a discriminator see of it."""
        reference = None if self.reference is None else Reference(*self.reference)
        photo = None if reference is None else reference.image
        return Condition(self.mask, reference, self.attributes, photo, self.extra)


def make_inputs(
    needs: Iterable[Port], settled: Settled, *, seed: int, spare_seed: int, strength: float, undeclared: bool
) -> Inputs:
    """Return inputs as ports need them.

    Args:
        needs: the ports.
        settled: the numbers behind named dimensions, ``size``, ``batch``, ``classes`` and ``attributes`` among them.
        seed: the seed of inputs that ports need.
        spare_seed: the seed of all others.
        strength: what unbounded numbers are multiplied with.
        undeclared: give random values for all that is not needed; else that is missing, or background.
    """
    batch, size, classes = settled["batch"], settled["size"], settled["classes"]
    random, spare = (torch.Generator().manual_seed(each) for each in (seed, spare_seed))
    made: dict[str, Tensor] = {}
    for port in needs:
        unbounded = port.dtype == "float" and port.value_range is None
        made[port.name] = make(port, settled, random) * (strength if unbounded else 1)
    blank = torch.zeros((batch, size, size), dtype=torch.int64)
    if undeclared:
        blank = blobs((batch, size, size), classes, spare)
    photo = torch.rand((batch, 3, size, size), generator=spare) * 2 - 1
    image = made.get("image", made.get("generated", photo))
    reference = None
    if "image" in made or "reference.image" in made:
        reference = (made.get("reference.image", image), made.get("reference.mask", made.get("mask", blank)))
    elif undeclared:
        reference = (image, blobs((batch, size, size), classes, spare))
    attributes = made.get("attributes")
    if attributes is None and undeclared:
        attributes = (torch.rand(batch, settled["attributes"], generator=spare) < 0.5).float()
    style, own = None, {name: made[f"style.{name}"] for name in own_ports(needs, "style")}
    if "style" in made or own:
        code = torch.randn(batch, UNSETTLED_DIMENSION, generator=spare)
        style = with_own_fields(Style(made.get("style", code)), own)
    levels = [image]
    while GENERATED_PYRAMID.name in made and levels[-1].shape[-1] > _COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return Inputs(
        image=image,
        mask=made.get("mask", blank),
        style=style,
        attributes=attributes,
        reference=reference,
        pyramid=tuple(levels[1:]),
        extra={name: tensor for name, tensor in made.items() if _is_extra(name)},
        tensors=made,
    )


def make_extra(needs: Iterable[Port], settled: Settled, random: torch.Generator) -> dict[str, Tensor]:
    """Return random tensors for the ports that are among the extra tensors of a batch; noise too."""
    return {port.name: make(port, settled, random) for port in needs if _is_extra(port.name)}


def make(port: Port, settled: Settled, random: torch.Generator) -> Tensor:
    """Return a random tensor as a port describes it."""
    shape = tuple(number(dimension, settled) for dimension in port.shape)
    if port.dtype == "class_ids":
        return blobs(shape, 2 if port.classes is None else number(port.classes, settled), random)
    if port.dtype == "binary":
        return (torch.rand(shape, generator=random) < 0.5).float()
    if port.value_range is None:
        return torch.randn(shape, generator=random)
    low, high = port.value_range
    return torch.rand(shape, generator=random) * (high - low) + low


def number(dimension: int | str, settled: Settled) -> int:
    """Return the number of a dimension."""
    return dimension if isinstance(dimension, int) else settled.get(dimension, UNSETTLED_DIMENSION)


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


def _is_extra(name: str) -> bool:
    return name.split(".")[0] not in _FIELDS
