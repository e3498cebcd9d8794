"""Checkpoints that older versions of the components wrote, as the installed versions would have written them.

A checkpoint states the component and the version that wrote the tensors of each place. What is older than what is
installed passes through the ``weights`` of the component's migrations: live and averaged weights, buffers of losses.

The optimiser's moments belong to single weights. A weight that a migration passes on as it is, under another name or
the same one, keeps its moments, and training goes on exactly. Of a weight that it computes anew (joined, split, scaled)
nobody knows the moments: the optimiser starts afresh there, with a warning in the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.registry import how_to_upgrade, join_use, split_use
from facekit.training.augmentation import PLACE
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import COMPONENTS, Checkpoint

_MOST_NAMED = 3

Components = Mapping[str, ComponentChoice]
"""The components that keep tensors in checkpoints, by what the names of their tensors begin with: ``generator``,
``generator/adversarial`` for a loss of that label, or ``train.augment``."""


def components_of(recipe: ResolvedRecipe) -> dict[str, ComponentChoice]:
    """Return the components of a recipe that may keep tensors in its checkpoints."""
    networks = {name: choice for name, choice in recipe.model.components() if name not in recipe.model.frozen}
    losses = {f"{loss.player}/{loss.label}": loss.choice for loss in recipe.losses}
    return networks | losses | ({} if recipe.augmentation is None else {PLACE: recipe.augmentation.choice})


def written_by(components: Components) -> dict[str, str]:
    """Return what a checkpoint states of the components that write it."""
    specs = {place: choice.component.spec for place, choice in components.items()}
    return {place: join_use(spec.id, spec.version) for place, spec in specs.items()}


class CheckpointReader:
    """Reads a checkpoint for the components that are installed.

    Args:
        components: the components whose tensors are wanted; those of other places are left out.

    Raises:
        FacekitError: a newer version of a component wrote it than is installed.

    Attributes:
        notes: what was migrated, and what could not be, one sentence each.
    """

    def __init__(self, found: Checkpoint, components: Components) -> None:
        self._found = found
        self._components = components
        self._older: dict[str, int] = {}
        self.notes: list[str] = []
        written = found.state().get(COMPONENTS, {})
        for place, choice in components.items():
            spec = choice.component.spec
            name, version = split_use(written.get(place, ""))
            if name != spec.id or version is None:
                continue  # of another component, or of none: only its names and shapes can tell whether it fits
            if version > spec.version:
                raise FacekitError(
                    f"version {version} of {spec.id} wrote the weights of the {_named(place)}, and "
                    f"{choice.component.origin} has version {spec.version}",
                    where=str(found.folder),
                    remedy=how_to_upgrade(choice.component.origin),
                )
            since = [each for each in spec.migrations if each.to > version and each.weights is not None]
            if since:
                self._older[place] = version
                what = "; ".join(each.summary.strip().rstrip(".") for each in since)
                self.notes.append(
                    f"version {version} of {spec.id} wrote the weights of the {_named(place)}; they are read as those "
                    f"of version {spec.version}: {what}"
                )

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one of its files as the installed versions have them; empty where there is none.

        Raises FacekitError where a migration fails.
        """
        return self._live[0] if name == checkpoints.LIVE else self._migrate(self._found.tensors(name))[0]

    def moments(self) -> dict[str, Tensor]:
        """Return the optimiser's moments and counts, ``generator.stem.weight/exp_avg``; a note names those it lost."""
        migrated, passed_on = self._live
        # Read again: a migration may have changed in place what it passed on.
        before = self._found.tensors(checkpoints.LIVE) if passed_on else {}
        moments: dict[str, Tensor] = {}
        lost: dict[str, list[str]] = {}
        for name, tensor in self._found.tensors(checkpoints.OPTIMISER).items():
            weight, _, entry = name.rpartition("/")
            place = self._place_of(weight)
            if place not in self._older:
                moments[name] = tensor
                continue
            heirs = [heir for heir in passed_on.get(weight, ()) if torch.equal(migrated[heir], before[weight])]
            moments |= {f"{heir}/{entry}": tensor for heir in heirs}
            if not heirs and weight not in lost.setdefault(place, []):
                lost[place].append(weight)
        for place, weights in lost.items():
            if weights:
                spec = self._components[place].component.spec
                self.notes.append(
                    f"the optimiser starts afresh for what version {spec.version} of {spec.id} makes of "
                    f"{_listed(weights)}: training goes on, but not exactly as it would have"
                )
        return moments

    @cached_property
    def _live(self) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
        return self._migrate(self._found.tensors(checkpoints.LIVE))

    def _migrate(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
        """Return the tensors of the wanted places as the installed versions have them."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            place = self._place_of(name)
            if place:
                parts.setdefault(place, {})[name.removeprefix(f"{place}.")] = tensor
        result: dict[str, Tensor] = {}
        passed_on: dict[str, list[str]] = {}
        for place, state in parts.items():
            migrated = state
            if place in self._older:
                names = {id(tensor): name for name, tensor in state.items()}
                migrated = self._migrate_place(place, state)
                for name, tensor in migrated.items():
                    if id(tensor) in names:
                        passed_on.setdefault(f"{place}.{names[id(tensor)]}", []).append(f"{place}.{name}")
            result |= {f"{place}.{name}": tensor for name, tensor in migrated.items()}
        return result, passed_on

    def _migrate_place(self, place: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        choice, where = self._components[place], str(self._found.folder)
        try:
            migrated = choice.component.spec.migrate_weights(state, choice.options, version=self._older[place])
        except FacekitError as error:
            raise FacekitError(error.message, where=where, remedy=error.remedy) from error
        for name, tensor in migrated.items():
            if not isinstance(tensor, Tensor):
                raise FacekitError(
                    f"a migration of {choice.component.spec.id} made {name} {type(tensor).__name__}, not a tensor",
                    where=where,
                    remedy=f"this is a mistake in the plugin {choice.component.origin}",
                )
        return migrated

    def _place_of(self, name: str) -> str:
        """Return the place a tensor belongs to by its name; empty for none. Labels of losses may hold dots."""
        return max((place for place in self._components if name.startswith(f"{place}.")), key=len, default="")


def _named(place: str) -> str:
    player, slash, label = place.partition("/")
    return f"{player}'s loss {label!r}" if slash else place.replace("_", " ")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
