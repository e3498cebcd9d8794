"""Where components stand in a recipe, of which kinds, and the settings of the core beside each kind. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facekit.interfaces import NoOptions, Options, Player
from facekit.recipe.nodes import MapNode, use_of
from facekit.recipe.problems import Path
from facekit.recipe.settings import (
    AugmentCore,
    DataSettings,
    LossSettings,
    NetworkSettings,
    OptimiserCore,
    ScheduleCore,
)
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


def core_settings(kind: Kind) -> type[Options]:
    """Return the core's settings that stand beside the options of a kind of component."""
    found: dict[Kind, type[Options]] = {
        "dataset": DataSettings,
        "loss": LossSettings,
        "optimiser": OptimiserCore,
        "schedule": ScheduleCore,
        "augmentation": AugmentCore,
    }
    found |= dict.fromkeys(NETWORK_KINDS, NetworkSettings)
    return found.get(kind, NoOptions)


def component_places(root: MapNode) -> Iterator[tuple[Path, Kind]]:
    """Yield where components, or lists of them, stand in a merged recipe, and the likeliest kind of each."""
    yield ("data",), "dataset"
    model, losses = root.get("model"), root.get("losses")
    for name, entry in model.entries.items() if isinstance(model, MapNode) else ():
        yield ("model", name), kind_of_network(name, use_of(entry.node) or "", None)
    for player in losses.entries if isinstance(losses, MapNode) else ():
        yield ("losses", player), "loss"
    yield ("metrics",), "metric"
    yield ("train", "optimiser"), "optimiser"
    yield ("train", "schedule"), "schedule"
    yield ("train", "augment"), "augmentation"
