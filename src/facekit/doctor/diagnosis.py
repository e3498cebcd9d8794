"""What is wrong with the plugins, why, and what comes of it: drawn from metadata, source and examinations."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from facekit.doctor.conflicts import NameClash, name_clashes
from facekit.doctor.probe import Examination
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
from facekit.registry.known_plugins import known_distributions
from facekit.registry.plugins import IMPORTING, REGISTERING, describe_error
from facekit.registry.spec import Kind
from facekit.registry.static_scan import Offers, read_offers

ComponentKey = tuple[Kind, str]
"""Kind and id of a component; in a recipe, kind and the name it uses."""

State = Literal["sound", "broken", "clashing", "switched off"]

SLOW = 1.0
"""Seconds that loading a plugin may take before it is mentioned: every command that loads plugins waits for it."""

_ASKING = "calling facekit_components"


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


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a plugin.

    Args:
        stage: what the plugin was doing; empty where it did not come to that.
        what: what happened.
        detail: a traceback, or what it printed.
        remedy: what to do, beside leaving the plugin out.
        clash: the clash that it comes from, which is no fault of the plugin's own.
    """

    stage: str
    what: str
    detail: str = ""
    remedy: str = ""
    clash: NameClash | None = None


@dataclass(frozen=True)
class PluginDiagnosis:
    """A plugin, and what is wrong with it.

    Args:
        origin: the plugin.
        folder: where its distribution is installed; empty for a file.
        state: ``sound``; ``broken``; ``clashing`` where all that is wrong is names that others claim as well; or
            ``switched off`` (and then not examined).
        problems: what is wrong.
        notes: what is worth knowing.
        ends_facekit: no command that loads plugins works because of it.
        from_source: what it offers is known from its source, since its hooks could not be asked.
        gives: the components of it that can be used.
        lost: those that cannot be had, from it or from any other.
        affected: recipes that name one of these.
        switch_off: the value of ``FACEKIT_PLUGINS`` that leaves it out; empty for a file.
        seconds: how long it takes to load.
    """

    origin: PluginOrigin
    folder: str
    state: State
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    ends_facekit: bool = False
    from_source: bool = False
    gives: tuple[ComponentKey, ...] = ()
    lost: tuple[ComponentKey, ...] = ()
    affected: tuple[Affected, ...] = ()
    switch_off: str = ""
    seconds: float | None = None


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


@dataclass
class _Case:
    """What is known of one plugin before it is compared with the others."""

    origin: PluginOrigin
    folder: str
    examination: Examination | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    usable: set[ComponentKey] = field(default_factory=set)
    source: Offers = field(default_factory=Offers)
    asked: bool = False
    """It said itself what it offers."""


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
    cases = list(_cases(installed, examinations, switches))
    loaded = [case.examination for case in cases if case.examination is not None]
    clashes = tuple(name_clashes(loaded, own_commands=own_commands))
    claimed = {clash.component for clash in clashes if clash.component is not None}
    for case in cases:
        case.problems += [
            Problem(clash.stage, clash.outcome_for(case.origin), clash=clash)
            for clash in clashes
            if case.origin in clash.losers
        ]
        case.usable -= claimed
        case.problems += [
            Problem("offering recipes", f"{recipe.path} cannot be read: {recipe.problem}")
            for recipe in recipes
            if recipe.problem and case.examination is not None and recipe.path in case.examination.recipes
        ]
    usable = {key for case in cases for key in case.usable}
    plugins = [_diagnosed(case, usable) for case in cases]

    def affected(lost: Sequence[ComponentKey]) -> Iterator[Affected]:
        for recipe in recipes:
            # A name that another plugin gives a meaning is not missed; one that is claimed twice has none.
            missed = [use for use in recipe.uses if _is_there(use, claimed) or not _is_there(use, usable)]
            named = tuple(key for key in lost if any(_means(use, key) for use in missed))
            if named:
                yield Affected(recipe, named)

    plugins = [
        replace(
            plugin,
            affected=tuple(affected(plugin.lost)),
            switch_off="" if plugin.origin.file else _switched_off([plugin.origin], installed, environment),
        )
        for plugin in plugins
    ]
    left_out = _left_out(plugins, clashes)
    try:
        switches.check(installed.names())
        mistakes: tuple[FacekitError, ...] = ()
    except FacekitError as error:
        mistakes = (error,)
    return Diagnosis(
        plugins=tuple(plugins),
        clashes=clashes,
        mistakes=mistakes,
        recipes=tuple(recipes),
        without=_switched_off(left_out, installed, environment) if left_out else "",
        strict=switches.strict,
    )


def _cases(installed: Installed, examinations: Sequence[Examination], switches: Switches) -> Iterator[_Case]:
    """Yield each plugin with what metadata, source and examination say of it alone."""
    of = {examination.origin: examination for examination in examinations}
    for broken in installed.unreadable:
        case = _Case(broken.origin, broken.folder)
        if switches.load(broken.origin):
            again = f"`pip install --force-reinstall {broken.origin.distribution}`"
            remedy = f"its files are damaged, which other programs may fail of as well: {again} puts them right"
            case.problems.append(Problem(READING_ENTRY_POINTS, describe_error(broken.error), remedy=remedy))
        yield case
    for misplaced in installed.misplaced:
        case = _Case(misplaced.origin, misplaced.folder)
        if switches.load(misplaced.origin):
            case.problems.append(Problem(READING_ENTRY_POINTS, misplaced.message, remedy=misplaced.remedy))
            case.source = read_offers(misplaced.origin.target)
        yield case
    for plugin in installed.plugins:
        case = _Case(plugin.origin, folder_of(plugin.distribution), of.get(plugin.origin))
        if case.examination is not None:
            _add_examination(case, case.examination)
            case.problems += [
                Problem("", sentence, remedy=f"`pip install --upgrade {plugin.origin.distribution}` gets what it needs")
                for sentence in unmet_requirements(plugin.distribution)
            ]
        if not case.asked:
            case.source = read_offers(plugin.origin.target)
        yield case
    for examination in examinations:
        if examination.origin.file is not None:
            case = _Case(examination.origin, "", examination)
            _add_examination(case, examination)
            if not case.asked:
                case.source = read_offers(examination.origin.target, file=examination.origin.file)
            yield case


def _add_examination(case: _Case, found: Examination) -> None:
    stages = {failure.stage for failure in found.failures}
    case.asked = found.finished and not stages & {IMPORTING, REGISTERING, _ASKING}
    case.problems += [Problem(one.stage, one.error, one.traceback) for one in found.failures]
    case.problems += [Problem("reading its components", one.message, remedy=one.remedy) for one in found.refused]
    for component in found.components:
        if component.problem is None:
            case.usable.add((component.kind, component.id))
        else:
            case.problems.append(Problem("", f"{component.kind} {component.id}: {component.problem}"))
    case.problems += [Problem("", f"command `{one.name}`: {one.problem}") for one in found.commands if one.problem]
    if found.torch_at is not None:
        when = "when it is imported" if found.torch_at == IMPORTING else f"in {found.torch_at.removeprefix('calling ')}"
        case.problems.append(
            Problem(
                "",
                f"it imports torch {when}, for which every command waits, even those that only look around",
                remedy="it should import torch in the modules of its factories only",
            )
        )
    if found.printed:
        case.problems.append(
            Problem("", "it prints while it is loaded, at every command", detail=found.printed, remedy="")
        )
    if found.seconds is not None and found.seconds > SLOW:
        case.notes.append(f"it takes {found.seconds:.1f} s to load, for which every command waits")


def _diagnosed(case: _Case, usable: Set[ComponentKey]) -> PluginDiagnosis:
    found = case.examination
    offers: set[ComponentKey] = set(case.usable)
    if found is not None:
        offers |= {(one.kind, one.id) for one in found.components} | {(one.kind, one.id) for one in found.refused}
    if not case.asked:
        offers |= {(one.kind, one.id) for one in case.source.components}
    state: State = "sound"
    if found is None and not case.problems:
        state = "switched off"
    elif case.problems:
        state = "clashing" if all(problem.clash for problem in case.problems) else "broken"
    return PluginDiagnosis(
        origin=case.origin,
        folder=case.folder,
        state=state,
        problems=tuple(case.problems),
        notes=tuple(case.notes),
        ends_facekit=found is not None and any(failure.ends_facekit for failure in found.failures),
        from_source=not case.asked,
        gives=tuple(sorted(case.usable)),
        lost=tuple(sorted(offers - usable)),
        seconds=None if found is None else found.seconds,
    )


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
        if not sides:
            continue
        if not clash.with_facekit:
            # The one that many have stays, else the one that has the name now.
            sides.sort(key=lambda one: (normal_name(one.distribution) not in known, one in clash.losers))
            del sides[0]
        out.update(dict.fromkeys(sides))
    return [origin for origin in out if origin.file is None]


def _switched_off(origins: Sequence[PluginOrigin], installed: Installed, environment: Mapping[str, str]) -> str:
    """Return the value of ``FACEKIT_PLUGINS`` that leaves plugins out, beside what is left out already."""
    everyone = [plugin.origin for plugin in installed.plugins]
    names: list[str] = []
    for origin in origins:
        beside = [other for other in everyone if other.distribution == origin.distribution]
        alike = [other for other in everyone if normal_name(origin.name) in _names(other)]
        # A distribution with several plugins may have sound ones.
        names.append(origin.name if len(beside) > 1 and len(alike) == 1 else origin.distribution)
    before = environment.get("FACEKIT_PLUGINS", "").strip().strip(",")
    return ",".join([*([before] if before else []), *(f"-{name}" for name in dict.fromkeys(names))])


def _names(origin: PluginOrigin) -> set[str]:
    return {normal_name(origin.name), normal_name(origin.distribution)}
