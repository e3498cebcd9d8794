"""What has to be given for an image of a recipe: read from the ports of what its sampler calls. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from facekit.interfaces import GENERATOR, SAMPLER, STYLE_ENCODER, LabelMap, Port, PortContext
from facekit.recipe.resolved import ResolvedRecipe

MASK, REFERENCE, REFERENCE_MASK, SOURCE, ATTRIBUTES = "mask", "reference", "reference_mask", "source", "attributes"
"""What people give, by the names of the command line's options and of Python's arguments."""

_OF_PORTS = {
    "mask": MASK,
    "image": SOURCE,
    "attributes": ATTRIBUTES,
    "reference.image": REFERENCE,
    "reference.mask": REFERENCE_MASK,
}
"""The same by the ports of a generator or a sampler."""

_OF_ENCODER = {"image": REFERENCE, "mask": REFERENCE_MASK}
"""The same by the ports of a style encoder, which reads the reference."""


@dataclass(frozen=True)
class SamplingInputs:
    """What an image of a recipe is made from.

    Args:
        needed: what must be given: some of ``mask``, ``reference``, ``reference_mask``, ``source``, ``attributes``; and
            the ports of a family's own, which only Python can give, by their names.
        optional: what may be given as well.
        noise: the shape of one sample's noise by the name of its port; the engine draws it.
    """

    needed: frozenset[str]
    optional: frozenset[str] = frozenset()
    noise: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def reads(self, name: str) -> bool:
        """Return whether something is read where it is given."""
        return name in self.needed or name in self.optional

    @property
    def from_nothing(self) -> bool:
        """Whether images are made from noise alone."""
        return bool(self.noise) and not self.needed

    @property
    def own(self) -> tuple[str, ...]:
        """The needs of the family's own, which neither files nor options can give."""
        return tuple(sorted(self.needed - {MASK, REFERENCE, REFERENCE_MASK, SOURCE, ATTRIBUTES}))


def inputs_of(recipe: ResolvedRecipe, label_maps: Mapping[str, LabelMap] | None = None) -> SamplingInputs:
    """Return what an image of a recipe is made from.

    With a sampler, that is what the sampler's own ports need. Without, it is what the generator needs, and for a style
    encoder the reference.

    Args:
        recipe: the recipe.
        label_maps: every label map that the plugins offer, by name, for ports that depend on them.
    """
    context = PortContext(recipe.data.size, label_maps or {})
    needed: set[str] = set()
    optional: set[str] = set()
    # What networks of the recipe give each other nobody is asked for.
    inside = {port.name for _, choice in recipe.model.components() for port in choice.ports(context).gives}

    def take(needs: Iterable[Port], names: Mapping[str, str]) -> None:
        for port in needs:
            if port.dtype == "noise" or port.name in inside:
                continue
            (optional if port.optional else needed).add(names.get(port.name, port.name))

    sampler, encoder, generator = (recipe.model.get(name) for name in (SAMPLER, STYLE_ENCODER, GENERATOR))
    if sampler is not None:
        take(sampler.ports(context).needs, _OF_PORTS)
    else:
        if generator is not None:
            take(generator.ports(context).needs, _OF_PORTS)
        if encoder is not None:
            take(encoder.ports(context).needs, _OF_ENCODER)
    # Noise that losses alone read is drawn in training only.
    noise = _shapes(recipe, _needs_of_networks(recipe, label_maps))
    return SamplingInputs(frozenset(needed), frozenset(optional - needed), noise)


def noise_shapes(
    recipe: ResolvedRecipe, label_maps: Mapping[str, LabelMap] | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the shape of one sample's noise by the name of its port, for every network and loss of a recipe."""
    losses = (
        loss.choice.ports(PortContext(recipe.data.size, label_maps or {}, loss.player)).needs for loss in recipe.losses
    )
    return _shapes(recipe, chain(_needs_of_networks(recipe, label_maps), *losses))


def _shapes(recipe: ResolvedRecipe, needs: Iterable[Port]) -> dict[str, tuple[int, ...]]:
    settled = {"size": recipe.data.size, **recipe.dimensions}
    return {
        port.name: tuple(settled[side] if isinstance(side, str) else side for side in port.shape[1:])
        for port in needs
        if port.dtype == "noise"
    }


def _needs_of_networks(recipe: ResolvedRecipe, label_maps: Mapping[str, LabelMap] | None) -> Iterator[Port]:
    for _, choice in recipe.model.components():
        yield from choice.ports(PortContext(recipe.data.size, label_maps or {})).needs
