"""The kinds of components that stand under ``model:``, by the names that recipes give them. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from facekit.interfaces import Player
from facekit.registry import Kind, Registry, name_of_use

USUAL_PLAYERS: tuple[Player, ...] = ("generator", "discriminator")
"""The players that losses say whether they are for; a recipe may have players of any name."""

NETWORK_KINDS: tuple[Kind, ...] = ("style_encoder", "generator", "discriminator", "sampler", "network")
"""The kinds of components that stand under ``model:``."""

NAMED_KINDS = NETWORK_KINDS[:-1]
"""Those that a network of their name usually has."""


def kind_of_network(name: str, use: str, registry: Registry | None) -> Kind:
    """Return the kind of component that stands under ``model:`` by a name.

    A network of a usual name has the kind of that name, or is of the kind ``network`` and called by a sampler. One of
    any other name has the first kind that offers ``use``, ``network`` before the others. Without a registry it is the
    likeliest.
    """
    usual = next((kind for kind in NAMED_KINDS if kind == name), None)
    candidates: Sequence[Kind] = ("network", *NAMED_KINDS) if usual is None else (usual, "network")
    component = name_of_use(use)
    offered = [] if registry is None else [(kind, entry) for kind in candidates for entry in registry.of_kind(kind)]
    return next((kind for kind, entry in offered if component in (entry.spec.id, entry.spec.name)), candidates[0])
