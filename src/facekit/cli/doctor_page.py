"""What ``facekit plugins doctor`` prints, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from facekit import __version__
from facekit.cli.output import hanging, plural, wrapped

if TYPE_CHECKING:
    from facekit.doctor.conflicts import NameClash
    from facekit.doctor.diagnosis import Diagnosis, PluginDiagnosis
    from facekit.doctor.probe import ComponentKey, Problem

_INDENT = "  "
_LABEL = 14
_MOST_LINES = 24
"""Lines of a traceback that are printed; ``--json`` has all of it."""

_MOST_RECIPES = 12

_bad = partial(click.style, fg="red", bold=True)


def doctor_page(diagnosis: Diagnosis, *, seconds: float, width: int) -> Iterator[str]:
    """Yield the lines that tell what was found in so many ``seconds``.

    They are wrapped at ``width`` columns; lines of tracebacks and words longer than a line may go beyond.
    """
    examined = [plugin for plugin in diagnosis.plugins if plugin.state != "switched off"]
    count = plural(len(examined), "plugin")
    yield f"facekit {__version__}: {count} examined, each in a process of its own ({seconds:.1f} s)"
    if diagnosis.plugins:
        yield ""
        yield from _table(diagnosis.plugins)
    for mistake in diagnosis.mistakes:
        yield ""
        yield _bad(mistake.message)
        yield from wrapped("this stops every command that loads plugins", width, _INDENT)
        yield from _field("instead", mistake.remedy or "", width)
    if diagnosis.strict and diagnosis.broken:
        yield ""
        yield _bad("FACEKIT_STRICT_PLUGINS is set")
        yield from wrapped("so every command that loads plugins stops at the first that is broken", width, _INDENT)
    for plugin in diagnosis.broken:
        yield ""
        yield from _plugin(plugin, width)
    for clash in diagnosis.clashes:
        yield ""
        yield from _clash(clash, diagnosis, width)
    remarks = list(_remarks(diagnosis))
    if remarks:
        yield ""
        yield click.style("Worth knowing", bold=True)
    for remark in remarks:
        yield from wrapped(f"- {remark}", width, _INDENT)
    yield ""
    yield from _summary(diagnosis, width)


def _table(plugins: Sequence[PluginDiagnosis]) -> Iterator[str]:
    rows = [("PLUGIN", "DISTRIBUTION", "STATE", "COMPONENTS", "SECONDS")]
    for plugin in plugins:
        seconds = "-" if plugin.seconds is None else f"{plugin.seconds:.2f}"
        rows.append((plugin.origin.name, str(plugin.origin), plugin.state, str(len(plugin.gives)), seconds))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(size) for cell, size in zip(row[:3], widths)]
        cells += [cell.rjust(size) for cell, size in zip(row[3:], widths[3:])]
        bad = number and row[2] in ("broken", "clashing")
        yield click.style(_INDENT.join(cells).rstrip(), bold=not number, fg="red" if bad else None)


def _plugin(plugin: PluginDiagnosis, width: int) -> Iterator[str]:
    origin = plugin.origin
    yield _bad(f"{origin.name} ({origin}) is broken")
    if plugin.ends_facekit:
        yield from wrapped("It ends or stops every command that loads plugins: switch it off first.", width, _INDENT)
    for problem in plugin.problems:
        if not problem.is_clash:  # clashes are told by themselves, with both sides
            yield from _problem(problem, width)
    if origin.target and origin.file is None:
        yield from _field("entry point", f"{origin.name} = {origin.target}", width)
    yield from _field("installed in", plugin.folder, width)
    if plugin.lost:
        whence = " (as its source says)" if plugin.from_source else ""
        yield from _field("lost", f"{_components(plugin.lost)}{whence}", width)
    elif plugin.from_source:
        yield from _field("lost", "whatever it offers; its source names no component", width)
    names = [f"{one.recipe.name} ({_components(one.components)})" for one in plugin.affected]
    if plugin.ends_facekit:
        rest = f"; then still {_listed(names)}, for what is lost" if names else ""
        recipes = f"all of them, until it is switched off{rest}"
    elif names:
        recipes = f"{_needing(names)} what is lost"
    elif plugin.lost or plugin.from_source:
        recipes = "none that is shipped or lies here needs what is lost"
    else:
        recipes = "no component is lost, so every recipe works"
    yield from _field("recipes", recipes, width)
    if origin.file is None:
        yield from _field("switch it off", f"export FACEKIT_PLUGINS={plugin.switch_off}", width)
        yield from _field("or remove it", f"pip uninstall {origin.distribution}", width)
    else:
        yield from _field("leave it out", f"without --plugin-file {origin.file}", width)
    for note in plugin.notes:
        yield from _field("note", note, width)


def _problem(problem: Problem, width: int) -> Iterator[str]:
    stage = f"failed while {problem.stage}: " if problem.stage else ""
    # The last line of a traceback says the same as the exception, which may have several lines itself.
    first, *more = problem.what.splitlines()
    shown = problem.detail.rstrip().splitlines()
    if shown and shown[-1].strip().endswith(problem.what.strip()):
        del shown[-1]
    if len(shown) > _MOST_LINES:
        shown = [f"... ({len(shown) - _MOST_LINES} lines more; --json has them)", *shown[-_MOST_LINES:]]
    yield from _field("problem", f"{stage}{first}", width)
    yield from (f"{' ' * _LABEL}{_INDENT}{line}" for line in (*more, *shown))
    yield from _field("", problem.remedy, width)


def _clash(clash: NameClash, diagnosis: Diagnosis, width: int) -> Iterator[str]:
    yield _bad(f"{clash.title} is claimed more than once: {clash.outcome}")
    sides = ["facekit itself"] if clash.with_facekit else []
    sides += [f"{origin.name} ({origin}), {origin.target}" for origin in clash.sides]
    for number, side in enumerate(sides):
        yield from _field("and by" if number else "by", side, width)
    if clash.component is not None:
        recipes = [recipe.name for recipe in diagnosis.named_in(clash.component)]
        needed = f"{_needing(recipes)} it" if recipes else "none that is shipped or lies here needs it"
        yield from _field("recipes", needed, width)
    of = {plugin.origin: plugin for plugin in diagnosis.plugins}
    for origin in clash.sides:
        if origin.file is not None:
            yield from _field("without", f"{origin.name}: leave out --plugin-file {origin.file}", width)
        elif of[origin].switch_off and (origin in clash.losers or len(clash.losers) < len(clash.sides)):
            yield from _field("without", f"{origin.name}: export FACEKIT_PLUGINS={of[origin].switch_off}", width)


def _remarks(diagnosis: Diagnosis) -> Iterator[str]:
    for one in diagnosis.recipes:
        if one.problem and not one.source:
            yield f"{one.name} cannot be read, so what it needs is not known: {one.problem}"
    for plugin in diagnosis.plugins:
        if plugin.state == "switched off":
            names = [one.recipe.name for one in plugin.affected]
            needed = f"; {_needing(names)} it" if names else ""
            yield f"{plugin.origin.name} ({plugin.origin}) is switched off, so it was not examined{needed}"
        elif plugin.state == "sound":
            yield from (f"{plugin.origin.name} ({plugin.origin}): {note}" for note in plugin.notes)


def _summary(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    if diagnosis.sound:
        yield click.style("no problems found", fg="green", bold=True)
        return
    counts = {state: sum(one.state == state for one in diagnosis.plugins) for state in ("broken", "clashing")}
    found = [f"{count} {state}" for state, count in counts.items() if count]
    yield _bad(f"{plural(len(diagnosis.plugins), 'plugin')}: {', '.join(found) or 'something is wrong'}")
    ending = [plugin.origin.name for plugin in diagnosis.broken if plugin.ends_facekit]
    first = "Everything that does not need what is lost works as before."
    if ending:
        are = "is" if len(ending) == 1 else "are"
        first = f"No command that loads plugins works before {' and '.join(ending)} {are} switched off."
    elif diagnosis.mistakes or (diagnosis.strict and diagnosis.broken):
        first = "No command that loads plugins works with these switches."
    yield from wrapped(first, width, _INDENT)
    if diagnosis.without:
        one_side = ", and one side of each clash," if counts["clashing"] else ""
        yield from wrapped(f"To leave out what is broken{one_side} until it is mended:", width, _INDENT)
        yield f"{_INDENT}export FACEKIT_PLUGINS={diagnosis.without}"


def _field(label: str, text: str, width: int) -> list[str]:
    head = f"{_INDENT}{label}".ljust(_LABEL + len(_INDENT))
    return hanging(head, text, width, bold=label == "problem") if text else []


def _components(keys: Sequence[ComponentKey]) -> str:
    return ", ".join(f"{kind} {name}" for kind, name in keys)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_RECIPES
    return ", ".join(names[:_MOST_RECIPES]) + (f" and {more} more" if more > 0 else "")


def _needing(names: Sequence[str]) -> str:
    return f"{_listed(names)} {'needs' if len(names) == 1 else 'need'}"
