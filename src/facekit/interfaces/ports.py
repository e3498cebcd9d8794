"""Ports: what a component needs and gives, known before anything is built and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from facekit.interfaces.labels import LabelMap

Dimension = int | str
"""A number, or the name of a number that other ports settle (``"batch"``, ``"style"``, ``"classes"``)."""

DType = Literal["float", "class_ids", "binary", "noise"]
"""``noise``: standard normal numbers that the engine draws: repeatable, and independent of the batch they are in."""


@dataclass(frozen=True)
class Port:
    """One thing a component needs or gives.

    Args:
        name: the field's name for it. The core joins ports by name: ``image``, ``mask``, ``attributes`` (given by a
            dataset), ``reference.image``, ``reference.mask`` (of a dataset that gives image and mask), ``style`` (a
            style encoder), ``generated``, ``generated.pyramid`` (a generator), ``discriminated``,
            ``discriminated.features``, ``discriminated.class_logits`` (a discriminator). Families may add
            names of their own: ``style.mean`` is the field ``mean`` of their subclass of ``Style``.
        shape: dimensions; equal names stand for equal numbers across the whole recipe.
        dtype: ``float``, ``class_ids`` (integers), ``binary``, or ``noise``, which nothing in the recipe gives: the
            engine draws it, and networks find it in ``condition.extra`` by the port's name.
        value_range: smallest and largest value, e.g. ``(-1.0, 1.0)``; None where any number may occur.
        classes: for ``class_ids``: how many classes there are.
        optional: a need that the component can do without.
        leading: the shape names the first dimensions only; whatever follows is left open.
    """

    name: str
    shape: tuple[Dimension, ...]
    dtype: DType = "float"
    value_range: tuple[float, float] | None = None
    classes: Dimension | None = None
    optional: bool = False
    leading: bool = False


@dataclass(frozen=True)
class Ports:
    """Everything a component needs and gives, computed from its validated options.

    Args:
        needs: ports that some other part of the recipe must give.
        gives: ports that other parts may need.
        smallest_size: the smallest image side in pixels the component works with.
        size_multiple: the image side must be a multiple of this.
        smallest_batch: the smallest batch the component works with (2 for losses that swap styles inside a batch).
    """

    needs: tuple[Port, ...] = ()
    gives: tuple[Port, ...] = ()
    smallest_size: int = 1
    size_multiple: int = 1
    smallest_batch: int = 1


@dataclass(frozen=True)
class PortContext:
    """What ports may depend on beside the component's own options.

    Args:
        size: image side in pixels.
        label_maps: every label map that the loaded plugins offer, by name.
        player: for losses: the player whose loss it is; else None.
    """

    size: int
    label_maps: Mapping[str, LabelMap] = field(default_factory=dict)
    player: str | None = None


IMAGE = Port("image", ("batch", 3, "size", "size"), value_range=(-1.0, 1.0))
"""The real photo."""

MASK = Port("mask", ("batch", "size", "size"), dtype="class_ids", classes="classes")
"""The class ids of the wanted geometry."""

ATTRIBUTES = Port("attributes", ("batch", "attributes"), dtype="binary", value_range=(0.0, 1.0))
"""The attributes of the photo."""

REFERENCE_IMAGE = Port("reference.image", ("batch", 3, "size", "size"), value_range=(-1.0, 1.0))
"""The image that gives the style, for networks that read it from the condition: ``condition.reference.image``."""

REFERENCE_MASK = Port("reference.mask", ("batch", "size", "size"), dtype="class_ids", classes="classes")
"""The class ids of that photo: ``condition.reference.mask``."""

HOLE = Port("hole", ("batch", 1, "size", "size"), dtype="binary", value_range=(0.0, 1.0))
"""Where a part of the source photo is to be made anew (1), and where it stays (0): ``condition.extra["hole"]``."""

STYLE = Port("style", ("batch", "style"))
"""One style vector an image."""

ANY_STYLE = Port("style", ("batch",), leading=True)
"""A style of any form, for components that hand it on: one vector an image, a region, or a layer."""

GENERATED = Port("generated", ("batch", 3, "size", "size"), value_range=(-1.0, 1.0))
"""The generator's output."""

GENERATED_PYRAMID = Port("generated.pyramid", ("batch",), leading=True)
"""The generator's output at coarser sizes; the port leaves their number and sides open."""

DISCRIMINATOR_OUTPUT = Port("discriminated", ("batch",), leading=True)
"""The discriminator's logits at its scales."""

DISCRIMINATOR_FEATURES = Port("discriminated.features", ("batch",), leading=True)
"""The discriminator's feature maps at its scales."""

DISCRIMINATOR_CLASS_LOGITS = Port("discriminated.class_logits", ("batch", "attributes"))
"""The discriminator's attribute logits."""
