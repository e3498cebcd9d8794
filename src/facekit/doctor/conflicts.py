"""Names that several plugins claim: both sides, and who gets it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from facekit.doctor.probe import ComponentKey, Examination
from facekit.registry.discovery import PluginOrigin


@dataclass(frozen=True)
class NameClash:
    """A name that more than one plugin has, or a plugin and facekit itself.

    Args:
        what: what is called so.
        name: the name; of a component with its kind, ``loss mine/l1``.
        sides: who claims it, in the order in which plugins are loaded.
        losers: whose claim comes to nothing.
        outcome: what comes of it, in a sentence.
        component: kind and id, where it is a component.
        with_facekit: facekit itself has it.
    """

    what: Literal["component", "label map", "command"]
    name: str
    sides: tuple[PluginOrigin, ...]
    losers: tuple[PluginOrigin, ...]
    outcome: str
    component: ComponentKey | None = None
    with_facekit: bool = False

    @property
    def title(self) -> str:
        """What is claimed, e.g. ``loss mine/l1``, ``label map faces`` or ``command `tool```."""
        titles = {"component": self.name, "label map": f"label map {self.name}", "command": f"command `{self.name}`"}
        return titles[self.what]

    def outcome_for(self, origin: PluginOrigin) -> str:
        """Return the clash as one side sees it."""
        others = [str(other) for other in self.sides if other != origin] or ["itself"]
        others += ["facekit itself"] if self.with_facekit else []
        return f"{self.title} is claimed by {' and '.join(dict.fromkeys(others))} as well: {self.outcome}"


def name_clashes(examinations: Sequence[Examination], *, own_commands: Mapping[str, bool]) -> Iterator[NameClash]:
    """Yield every name that several claim.

    Args:
        examinations: of those that are loaded, in that order.
        own_commands: facekit's own commands, and whether plugins may add to each as a group.
    """
    components: defaultdict[ComponentKey, list[PluginOrigin]] = defaultdict(list)
    label_maps: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    for examination in examinations:
        for key in dict.fromkeys(examination.components):
            components[key].append(examination.origin)
        for name in examination.label_maps:
            label_maps[name].append(examination.origin)
    for key, sides in components.items():
        if len(sides) > 1:
            yield NameClash("component", " ".join(key), tuple(sides), tuple(sides), "nobody gets it", component=key)
    for name, (first, *others) in label_maps.items():
        if others:
            yield NameClash("label map", name, (first, *others), tuple(others), f"{first} comes first and keeps it")
    offered = [(examination.origin, name) for examination in examinations for name in examination.commands]
    yield from command_clashes(offered, own=own_commands)


def command_clashes(offered: Iterable[tuple[PluginOrigin, str]], *, own: Mapping[str, bool]) -> Iterator[NameClash]:
    """Yield the names of commands that several plugins have, that facekit has itself, or that are groups as well.

    Args:
        offered: the commands by name, each with its plugin.
        own: facekit's own commands, and whether plugins may add to each as a group.
    """
    offers: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    for origin, name in offered:
        offers[name].append(origin)
    for name, origins in offers.items():
        first, _, rest = name.partition(" ")
        sides = tuple(origins)
        if first in own and not (rest and own[first]):
            outcome = f"`facekit {first}` stays facekit's own"
            yield NameClash("command", name, sides, sides, outcome, with_facekit=True)
            continue
        if len(sides) > 1:
            yield NameClash("command", name, sides, sides, "nobody gets it")
        inside = [other for other in offers if other.startswith(f"{name} ")]
        if inside:
            sides = tuple(dict.fromkeys([*sides, *(origin for other in inside for origin in offers[other])]))
            outcome = f"it cannot be a command and the group of `{inside[0]}`, so nobody gets it"
            yield NameClash("command", name, sides, sides, outcome)
