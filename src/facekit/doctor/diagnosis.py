"""What is wrong with the plugins, why, and what comes of it: drawn from metadata, source and examinations."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facekit.doctor.conflicts import NameClash, name_clashes
from facekit.doctor.probe import ComponentKey, Examination, Problem
from facekit.doctor.requirements import unmet_requirements
from facekit.interfaces import FacekitError
from facekit.registry.discovery import (
    READING_ENTRY_POINTS,
    Installed,
    PluginOrigin,
    Switches,
    folder_of,
    normal_name,
)
from facekit.registry.install_hints import known_distributions
from facekit.registry.plugins import describe_error
from facekit.registry.static_scan import read_offers

State = Literal["sound", "broken", "clashing", "switched off"]

SLOW = 1.0
"""Seconds that loading a plugin may take before it is mentioned: every command that loads plugins waits for it."""

_CLASHING = {
    "component": "reading its components",
    "label map": "reading its label maps",
    "command": "adding its commands",
}
"""What a plugin fails in that loses a clash."""


@dataclass(frozen=True)
class RecipeNeeds:
    """What a recipe needs of plugins.

    Args:
        name: what to call it.
        path: the file.
        source: the distribution it comes with; empty for one of the person's own.
        uses: kind and name of each component it names.
        problem: why it cannot be read.
    """

    name: str
    path: Path
    source: str
    uses: tuple[ComponentKey, ...]
    problem: str | None = None

    def names(self, component: ComponentKey) -> bool:
        """Tell whether it names a component, by its id or by its name alone."""
        return any(_means(use, component) for use in self.uses)


@dataclass(frozen=True)
class Affected:
    """A recipe, and what it names that cannot be used."""

    recipe: RecipeNeeds
    components: tuple[ComponentKey, ...]


@dataclass
class PluginDiagnosis:
    """A plugin, and what is wrong with it.

    Args:
        origin: the plugin.
        folder: where its distribution is installed; empty for a file.
        examination: what it did in a process of its own; None where it was not examined.
        problems: what is wrong.
        notes: what is worth knowing.
        from_source: what it offers is known from its source, since its hooks could not be asked.
        offers: its components, those that cannot be used too.
        gives: the components of it that can be used.
        lost: those that cannot be had, from it or from any other.
        affected: recipes that name one of these.
        switch_off: the value of ``FACEKIT_PLUGINS`` that leaves it out; empty for a file.
    """

    origin: PluginOrigin
    folder: str
    examination: Examination | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    from_source: bool = True
    offers: set[ComponentKey] = field(default_factory=set)
    gives: tuple[ComponentKey, ...] = ()
    lost: tuple[ComponentKey, ...] = ()
    affected: tuple[Affected, ...] = ()
    switch_off: str = ""

    @property
    def state(self) -> State:
        """``clashing`` is one with which nothing is wrong but names that others claim as well."""
        if self.problems:
            return "clashing" if all(problem.is_clash for problem in self.problems) else "broken"
        return "switched off" if self.examination is None else "sound"

    @property
    def ends_facekit(self) -> bool:
        """Whether no command that loads plugins works because of it."""
        return self.examination is not None and self.examination.ends_facekit

    @property
    def seconds(self) -> float | None:
        """How long it takes to load; None where that is not known."""
        return None if self.examination is None else self.examination.seconds


@dataclass(frozen=True)
class Diagnosis:
    """All that is to be said of the plugins.

    Args:
        plugins: in the order in which they are loaded.
        clashes: names that several claim.
        mistakes: what is wrong with the switches themselves.
        recipes: the recipes that may need them.
        without: the value of ``FACEKIT_PLUGINS`` that leaves out plugins without which all the others are sound.
        strict: failures are fatal.
    """

    plugins: tuple[PluginDiagnosis, ...]
    clashes: tuple[NameClash, ...]
    mistakes: tuple[FacekitError, ...]
    recipes: tuple[RecipeNeeds, ...] = ()
    without: str = ""
    strict: bool = False

    @property
    def broken(self) -> list[PluginDiagnosis]:
        """The plugins that are broken."""
        return [plugin for plugin in self.plugins if plugin.state == "broken"]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.broken or self.mistakes or self.clashes)

    def named_in(self, component: ComponentKey) -> list[RecipeNeeds]:
        """Return the recipes that name a component."""
        return [recipe for recipe in self.recipes if recipe.names(component)]


def diagnose(
    installed: Installed,
    examinations: Sequence[Examination],
    *,
    recipes: Sequence[RecipeNeeds],
    own_commands: Mapping[str, bool],
    environment: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Draw the conclusions.

    Args:
        installed: the plugins of the installed distributions.
        examinations: of those that are loaded, and of one-file plugins.
        recipes: the recipes that may need them.
        own_commands: facekit's own commands, and whether plugins may add to each as a group.
        environment: where the switches are read from.
    """
    environment = os.environ if environment is None else environment
    switches = Switches.read(environment)
    plugins = list(_each_alone(installed, examinations, switches))
    clashes = tuple(name_clashes([one.examination for one in plugins if one.examination], own_commands=own_commands))
    claimed = {clash.component for clash in clashes if clash.component is not None}
    for plugin in plugins:
        plugin.problems += [
            Problem(_CLASHING[clash.what], clash.outcome_for(plugin.origin), is_clash=True)
            for clash in clashes
            if plugin.origin in clash.losers
        ]
        plugin.problems += [
            Problem("offering recipes", f"{recipe.path} cannot be read: {recipe.problem}")
            for recipe in recipes
            if recipe.problem and plugin.examination is not None and recipe.path in plugin.examination.recipes
        ]
        plugin.gives = tuple(key for key in plugin.gives if key not in claimed)
    usable = {key for plugin in plugins for key in plugin.gives}
    for plugin in plugins:
        plugin.lost = tuple(sorted(plugin.offers - usable))
        for recipe in recipes:
            # A name that another plugin gives a meaning is not missed; one that is claimed twice has none.
            missed = [use for use in recipe.uses if _is_there(use, claimed) or not _is_there(use, usable)]
            if keys := tuple(key for key in plugin.lost if any(_means(use, key) for use in missed)):
                plugin.affected += (Affected(recipe, keys),)
        if plugin.origin.file is None:
            plugin.switch_off = _switched_off([plugin.origin], installed, environment)
    mistakes: tuple[FacekitError, ...] = ()
    try:
        switches.check(installed.names())
    except FacekitError as error:
        mistakes = (error,)
    left_out = _left_out(plugins, clashes)
    without = _switched_off(left_out, installed, environment) if left_out else ""
    return Diagnosis(tuple(plugins), clashes, mistakes, tuple(recipes), without, switches.strict)


def _each_alone(
    installed: Installed, examinations: Sequence[Examination], switches: Switches
) -> Iterator[PluginDiagnosis]:
    """Yield each plugin with what metadata, source and examination say of it alone."""
    for broken in installed.unusable:
        found = PluginDiagnosis(broken.origin, broken.folder)
        if switches.load(broken.origin):
            what = broken.error if isinstance(broken.error, str) else describe_error(broken.error)
            found.problems.append(Problem(READING_ENTRY_POINTS, what, remedy=broken.remedy))
            found.offers = {(one.kind, one.id) for one in read_offers(broken.origin.target).components}
        yield found
    of = {examination.origin: examination for examination in examinations}
    known = [(plugin.origin, folder_of(plugin.distribution), plugin.distribution) for plugin in installed.plugins]
    for origin, folder, distribution in (*known, *((one, "", None) for one in of if one.file is not None)):
        found = PluginDiagnosis(origin, folder, examined := of.get(origin))
        if examined is not None:
            found.from_source = examined.from_source
            found.gives = tuple(sorted(examined.usable))
            found.offers = {*examined.components, *examined.refused}
            found.problems += examined.problems
            found.problems += [
                Problem("", sentence, remedy=f"`pip install --upgrade {origin.distribution}` gets what it needs")
                for sentence in (unmet_requirements(distribution) if distribution is not None else ())
            ]
            if examined.seconds is not None and examined.seconds > SLOW:
                found.notes = (f"it takes {examined.seconds:.1f} s to load, for which every command waits",)
        if found.from_source:
            found.offers |= {(one.kind, one.id) for one in read_offers(origin.target, file=origin.file).components}
        yield found


def _means(use: ComponentKey, component: ComponentKey) -> bool:
    kind, id_ = component
    return use[0] == kind and use[1] in (id_, id_.split("/", 1)[1])


def _is_there(use: ComponentKey, components: Collection[ComponentKey]) -> bool:
    return any(_means(use, component) for component in components)


def _left_out(plugins: Sequence[PluginDiagnosis], clashes: Sequence[NameClash]) -> list[PluginOrigin]:
    """Return the plugins without which the others are sound: the broken ones, and all but one side of each clash."""
    known = {normal_name(one.name) for one in known_distributions()}
    out = {plugin.origin: None for plugin in plugins if plugin.state == "broken"}
    for clash in clashes:
        sides = [origin for origin in clash.sides if origin not in out]
        if sides and not clash.with_facekit:
            # The one that many have stays, else the one that has the name now.
            sides.sort(key=lambda one: (normal_name(one.distribution) not in known, one in clash.losers))
            del sides[0]
        out.update(dict.fromkeys(sides))
    return [origin for origin in out if origin.file is None]


def _switched_off(origins: Sequence[PluginOrigin], installed: Installed, environment: Mapping[str, str]) -> str:
    """Return the value of ``FACEKIT_PLUGINS`` that leaves plugins out, beside what is left out already."""
    everyone = [plugin.origin for plugin in installed.plugins]
    before = environment.get("FACEKIT_PLUGINS", "").strip().strip(",")
    off = [before] if before else []
    for origin in origins:
        beside = [other for other in everyone if other.distribution == origin.distribution]
        name = normal_name(origin.name)
        alike = [one for one in everyone if name in (normal_name(one.name), normal_name(one.distribution))]
        # A distribution with several plugins may have sound ones.
        off.append(f"-{origin.name if len(beside) > 1 and len(alike) == 1 else origin.distribution}")
    return ",".join(dict.fromkeys(off))
