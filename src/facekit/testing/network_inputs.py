"""What networks are given: random numbers as their ports describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from facekit.interfaces import Condition, Port, Reference, Style
from facekit.testing.contract import UNSETTLED_DIMENSION
from facekit.testing.own_fields import own_ports, with_own_fields, with_rows_of
from facekit.testing.specimens import Settled, blobs, make


@dataclass(frozen=True)
class Inputs:
    """What a network may be given.

    Args:
        image: photos (N, 3, S, S) in [-1, 1], or the pictures that are judged.
        mask: class ids (N, S, S).
        style: the style, where one is needed.
        attributes: (N, A); None where none are needed.
        reference: a reference photo and its mask in the condition, or nothing.
    """

    image: Tensor
    mask: Tensor
    style: Style | None
    attributes: Tensor | None
    reference: tuple[Tensor, Tensor] | None

    @property
    def condition(self) -> Condition:
        """What a generator and a discriminator see of it."""
        reference = None if self.reference is None else Reference(*self.reference)
        photo = None if reference is None else reference.image
        return Condition(self.mask, reference, self.attributes, photo)

    def replaced(self, row: slice, other: Inputs) -> Inputs:
        """Return these inputs with the other's samples in some rows."""

        def mixed(mine: Tensor, theirs: Tensor) -> Tensor:
            result = mine.clone()
            result[row] = theirs[row]
            return result

        return Inputs(
            image=mixed(self.image, other.image),
            mask=mixed(self.mask, other.mask),
            style=with_rows_of(self.style, row, other.style) if self.style and other.style else None,
            attributes=mixed(self.attributes, other.attributes)
            if self.attributes is not None and other.attributes is not None
            else None,
            reference=(mixed(self.reference[0], other.reference[0]), mixed(self.reference[1], other.reference[1]))
            if self.reference and other.reference
            else None,
        )

    def channels_last(self) -> Inputs:
        """Return the same with pictures in channels-last order."""

        def order(picture: Tensor) -> Tensor:
            return picture.contiguous(memory_format=torch.channels_last)

        reference = None if self.reference is None else (order(self.reference[0]), self.reference[1])
        return Inputs(order(self.image), self.mask, self.style, self.attributes, reference)


def make_inputs(
    needs: Mapping[str, Port], settled: Settled, *, seed: int, spare_seed: int, strength: float, undeclared: bool
) -> Inputs:
    """Return inputs as ports need them.

    Args:
        needs: the ports by name.
        settled: the numbers behind named dimensions, ``size``, ``batch``, ``classes`` and ``attributes`` among them.
        seed: of what is needed.
        spare_seed: of what is not.
        strength: what unbounded numbers of styles are multiplied with.
        undeclared: give random values for all that is not needed; else that is missing, or background.
    """
    batch, size, classes = settled["batch"], settled["size"], settled["classes"]
    random, spare = (torch.Generator().manual_seed(each) for each in (seed, spare_seed))
    made = {name: make(port, settled, random) for name, port in needs.items()}
    photo = Port("image", (batch, 3, size, size), value_range=(-1.0, 1.0))
    ids = (batch, size, size)
    blank = blobs(ids, classes, spare) if undeclared else torch.zeros(ids, dtype=torch.int64)
    image = made.get("image", make(photo, settled, spare))
    reference = (image, made.get("mask", blank)) if "image" in made else None
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
    )


def _style(needs: Mapping[str, Port], made: Mapping[str, Tensor], strength: float, spare: Tensor) -> Style | None:
    """Return a style with what is needed of it: its code, and the fields of a family's own."""

    def scaled(name: str) -> Tensor:
        free = needs[name].dtype == "float" and needs[name].value_range is None
        return made[name] * strength if free else made[name]

    own = {field: scaled(port.name) for field, port in own_ports(needs.values(), "style").items()}
    if "style" not in made and not own:
        return None
    return with_own_fields(Style(scaled("style") if "style" in made else spare), own)
