"""What networks are given: random numbers as their ports describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import GENERATED_PYRAMID, Condition, Port, Reference, Style, map_tensors
from facekit.testing.contract import UNSETTLED_DIMENSION
from facekit.testing.outputs import tensors_in
from facekit.testing.port_inputs import Settled, blobs, is_extra, make, own_ports, with_own_fields

_COARSEST = 4
"""Side of the coarsest level of a pyramid."""


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
    """

    image: Tensor
    mask: Tensor
    style: Style | None
    attributes: Tensor | None
    reference: tuple[Tensor, Tensor] | None
    pyramid: tuple[Tensor, ...] = ()
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        """What a generator and a discriminator see of it."""
        reference = None if self.reference is None else Reference(*self.reference)
        photo = None if reference is None else reference.image
        return Condition(self.mask, reference, self.attributes, photo, self.extra)

    def replaced(self, row: slice, other: Inputs) -> Inputs:
        """Return these inputs with the other's samples in some rows."""

        theirs = iter(tensors_in(other))

        def mixed(mine: Tensor) -> Tensor:
            result = mine.clone()
            result[row] = next(theirs)[row]
            return result

        return map_tensors(self, mixed)

    def channels_last(self) -> Inputs:
        """Return the same with images in channels-last order."""

        def order(tensor: Tensor) -> Tensor:
            return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

        return map_tensors(self, order)


def make_inputs(
    needs: Mapping[str, Port], settled: Settled, *, seed: int, spare_seed: int, strength: float, undeclared: bool
) -> Inputs:
    """Return inputs as ports need them.

    Args:
        needs: the ports by name.
        settled: the numbers behind named dimensions, ``size``, ``batch``, ``classes`` and ``attributes`` among them.
        seed: the seed of inputs that ports need.
        spare_seed: the seed of all others.
        strength: what unbounded numbers of styles are multiplied with.
        undeclared: give random values for all that is not needed; else that is missing, or background.
    """
    batch, size, classes = settled["batch"], settled["size"], settled["classes"]
    random, spare = (torch.Generator().manual_seed(each) for each in (seed, spare_seed))
    made = {name: make(port, settled, random) for name, port in needs.items()}
    photo = Port("image", (batch, 3, size, size), value_range=(-1.0, 1.0))
    ids = (batch, size, size)
    blank = blobs(ids, classes, spare) if undeclared else torch.zeros(ids, dtype=torch.int64)
    image = made.get("image", made.get("generated", make(photo, settled, spare)))
    shown = made.get("reference.image", image)
    wants_reference = "image" in made or "reference.image" in made
    reference = (shown, made.get("reference.mask", made.get("mask", blank))) if wants_reference else None
    if reference is None and undeclared:
        reference = (image, blobs(ids, classes, spare))
    attributes = made.get("attributes")
    if attributes is None and undeclared:
        attributes = (torch.rand(batch, settled["attributes"], generator=spare) < 0.5).float()
    return Inputs(
        image=image,
        mask=made.get("mask", blank),
        style=_style(needs, made, strength, torch.randn(batch, UNSETTLED_DIMENSION, generator=spare)),
        attributes=attributes,
        reference=reference,
        pyramid=_pyramid(image) if GENERATED_PYRAMID.name in needs else (),
        extra={name: tensor for name, tensor in made.items() if is_extra(name)},
    )


def _pyramid(image: Tensor) -> tuple[Tensor, ...]:
    """Return images at half the size and so on down to 4 pixels."""
    levels = [image]
    while levels[-1].shape[-1] > _COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return tuple(levels[1:])


def _style(needs: Mapping[str, Port], made: Mapping[str, Tensor], strength: float, spare: Tensor) -> Style | None:
    """Return a style with what is needed of it: its code, and the fields of a family's own."""

    def scaled(name: str) -> Tensor:
        free = needs[name].dtype == "float" and needs[name].value_range is None
        return made[name] * strength if free else made[name]

    own = {field: scaled(port.name) for field, port in own_ports(needs.values(), "style").items()}
    if "style" not in made and not own:
        return None
    return with_own_fields(Style(scaled("style") if "style" in made else spare), own)
