"""Names that several plugins claim: both sides, and who gets it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facekit.registry.discovery import Installed, PluginOrigin, normal_name
from facekit.registry.examination import Examination
from facekit.registry.plugins import REGISTERING
from facekit.registry.spec import Kind

if TYPE_CHECKING:
    from facekit.registry.diagnosis import RecipeNeeds

What = Literal["component", "label map", "command", "recipe", "entry point", "module"]


@dataclass(frozen=True)
class NameClash:
    """A name that more than one plugin has, or a plugin and facekit itself.

    Args:
        what: what is called so.
        name: the name; of a component with its kind, ``loss mine/l1``.
        sides: who claims it, in the order in which plugins are loaded.
        losers: whose claim comes to nothing; empty where the clash is harmless.
        outcome: what comes of it, in a sentence.
        component: kind and id, where it is a component.
        stage: what fails.
        with_facekit: facekit itself has it.
    """

    what: What
    name: str
    sides: tuple[PluginOrigin, ...]
    losers: tuple[PluginOrigin, ...]
    outcome: str
    component: tuple[Kind, str] | None = None
    stage: str = ""
    with_facekit: bool = False

    @property
    def title(self) -> str:
        """What is claimed, e.g. ``loss mine/l1``, ``label map faces`` or ``command `tool```."""
        if self.what == "component":
            return self.name
        return f"{self.what} `{self.name}`" if self.what == "command" else f"{self.what} {self.name}"

    @property
    def harmless(self) -> bool:
        """Whether everything works all the same."""
        return not self.losers

    def hurts(self, origin: PluginOrigin) -> bool:
        """Tell whether a plugin's claim comes to nothing."""
        return origin in self.losers

    def outcome_for(self, origin: PluginOrigin) -> str:
        """Return the clash as one side sees it."""
        others = [str(other) for other in self.sides if other != origin] or ["itself"]
        others += ["facekit itself"] if self.with_facekit else []
        return f"{self.title} is claimed by {' and '.join(dict.fromkeys(others))} as well: {self.outcome}"


def name_clashes(
    installed: Installed,
    examinations: Sequence[Examination],
    *,
    recipes: Sequence[RecipeNeeds],
    own_commands: Mapping[str, bool],
) -> Iterator[NameClash]:
    """Yield every name that several claim.

    Args:
        installed: the plugins of the installed distributions.
        examinations: of those that are loaded, in that order.
        recipes: the recipes that plugins ship, as they are called.
        own_commands: facekit's own commands, and whether plugins may add to each as a group.
    """
    loaded = [examination.origin for examination in examinations]
    yield from _entry_points(installed, loaded)
    components: defaultdict[tuple[Kind, str], list[PluginOrigin]] = defaultdict(list)
    label_maps: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    for examination in examinations:
        for key in dict.fromkeys((one.kind, one.id) for one in examination.components):
            components[key].append(examination.origin)
        for name in examination.label_maps:
            label_maps[name].append(examination.origin)
    for (kind, id_), sides in components.items():
        if len(sides) > 1:
            yield NameClash(
                "component",
                f"{kind} {id_}",
                tuple(sides),
                tuple(sides),
                "nobody gets it",
                component=(kind, id_),
                stage="reading its components",
            )
    for name, sides in label_maps.items():
        if len(sides) > 1:
            yield NameClash(
                "label map",
                name,
                tuple(sides),
                tuple(sides[1:]),
                f"{sides[0]} comes first and keeps it",
                stage="reading its label maps",
            )
    offered = [(examination.origin, command.name) for examination in examinations for command in examination.commands]
    yield from command_clashes(offered, own=own_commands)
    yield from _recipes(examinations, recipes)


def _entry_points(installed: Installed, loaded: Sequence[PluginOrigin]) -> Iterator[NameClash]:
    names: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    targets: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    for plugin in installed.plugins:
        if plugin.origin in loaded:
            names[normal_name(plugin.origin.name)].append(plugin.origin)
            targets[plugin.origin.target.rstrip(":")].append(plugin.origin)
    for sides in names.values():
        of: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
        for origin in sides:
            of[origin.distribution].append(origin)
        name = sides[0].name
        for distribution, twice in of.items():
            if len({origin.name for origin in twice}) < len(twice):
                yield NameClash(
                    "entry point",
                    name,
                    tuple(twice),
                    tuple(twice[1:]),
                    f"{distribution} declares it {len(twice)} times, and the first one is used",
                    stage=REGISTERING,
                )
        if len(of) > 1:
            yield NameClash("entry point", name, tuple(sides), (), f"FACEKIT_PLUGINS={name} means all of them")
    for target, sides in targets.items():
        if len(sides) > 1 and len(set(sides)) == len(sides):
            yield NameClash(
                "module",
                target,
                tuple(sides),
                tuple(sides[1:]),
                f"it is loaded once, for the entry point {sides[0].name!r} of {sides[0]}",
                stage=REGISTERING,
            )


def command_clashes(offered: Iterable[tuple[PluginOrigin, str]], *, own: Mapping[str, bool]) -> Iterator[NameClash]:
    """Yield the names of commands that several plugins have, that facekit has itself, or that are groups as well.

    Args:
        offered: the commands by name, each with its plugin.
        own: facekit's own commands, and whether plugins may add to each as a group.
    """
    offers: defaultdict[str, list[PluginOrigin]] = defaultdict(list)
    for origin, name in offered:
        offers[name].append(origin)
    for name, sides in offers.items():
        first, _, rest = name.partition(" ")
        everyone = tuple(sides)
        if first in own and not (rest and own[first]):
            yield NameClash(
                "command",
                name,
                everyone,
                everyone,
                f"`facekit {first}` stays facekit's own",
                stage="adding its commands",
                with_facekit=True,
            )
            continue
        if len(sides) > 1:
            nobody = "nobody gets it"
            yield NameClash("command", name, everyone, everyone, nobody, stage="adding its commands")
        inside = [(other, whose) for other, whose in offers.items() if other.startswith(f"{name} ")]
        if not rest and inside:
            both = (*everyone, *(origin for _, whose in inside for origin in whose))
            yield NameClash(
                "command",
                name,
                tuple(dict.fromkeys(both)),
                tuple(dict.fromkeys(both)),
                f"it cannot be a command and the group of `{inside[0][0]}`, so nobody gets it",
                stage="adding its commands",
            )


def _recipes(examinations: Sequence[Examination], recipes: Sequence[RecipeNeeds]) -> Iterator[NameClash]:
    whose: dict[Path, PluginOrigin] = {
        path: examination.origin for examination in examinations for path in examination.recipes
    }
    called = {recipe.name: recipe for recipe in recipes}
    for recipe in recipes:
        first = called.get(recipe.path.stem)
        origin = whose.get(recipe.path)
        if origin is None or first is None or first is recipe:
            continue
        other = whose.get(first.path)
        sides = (*((other,) if other is not None else ()), origin)
        yield NameClash(
            "recipe",
            recipe.path.stem,
            sides,
            (),
            f"that of {origin} is called `{recipe.name}`",
            with_facekit=other is None,
        )
