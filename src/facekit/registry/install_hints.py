"""Where a component is to be had that no loaded plugin offers, and how to get it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from facekit.interfaces import did_you_mean, nearest
from facekit.registry.discovery import PluginOrigin, doctor_command, normal_name
from facekit.registry.plugin_record import PluginRecord
from facekit.registry.plugins import PluginSet
from facekit.registry.spec import KINDS, Kind
from facekit.registry.static_scan import Offers, read_offers

FILE = "known_distributions.json"
"""Beside this file: distributions that are known to exist, installed or not, and what they offer. It is written by
``plugins/write_known_distributions.py`` from the distributions themselves; a test compares."""


class KnownDistribution(NamedTuple):
    """A distribution of plugins by the name that ``pip install`` takes.

    It has components, by kind and id, and adds commands, with a line of help each.
    """

    name: str
    components: tuple[tuple[Kind, str], ...]
    commands: Mapping[str, str]

    def offers(self, kind: Kind, name: str) -> bool:
        """Tell whether it has a component of this name, or of this id."""
        return any(kind == one and name in (id_, id_.split("/")[1]) for one, id_ in self.components)


@cache
def known_distributions() -> tuple[KnownDistribution, ...]:
    """Return the distributions that are known, by name."""
    document = json.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    return tuple(
        KnownDistribution(
            name,
            tuple((kind, id_) for kind, ids in entry["components"].items() for id_ in ids),
            entry["commands"],
        )
        for name, entry in sorted(document.items())
    )


def how_to_get(
    kind: Kind, name: str, *, names: Sequence[str], plugins: PluginSet, record: PluginRecord | None = None
) -> str | None:
    """Return how to get a component by its id or name, or what else may be meant; None where nothing is known.

    ``names`` are the components of this kind that are there; ``record`` is what the run was made with whose recipe
    names it.
    """
    sentences = list(dict.fromkeys(_sources(kind, name, plugins, record)))
    if sentences:
        near = did_you_mean(name, names)
        return "; ".join(sentences) + (f"; or {near}" if near else "")
    # Near names that a known distribution would bring count as much as those that are there.
    elsewhere = {
        id_.split("/")[1]: known.name
        for known in known_distributions()
        for one, id_ in known.components
        if one == kind and id_.split("/")[1] not in names
    }
    told: list[str] = []
    for near_name in nearest(name, [*names, *elsewhere]):
        distribution = elsewhere.get(near_name)
        origin = _origin(distribution, plugins) if distribution is not None else None
        where = f" (of {distribution}: `pip install {distribution}`)" if distribution is not None else ""
        if origin is not None:
            why_not = _why_not(origin, plugins) or f"is too old: `pip install --upgrade {origin.distribution}`"
            where = f" (of {origin}, which {why_not})"
        told.append(f"{near_name!r}{where}")
    if told:
        return f"did you mean {' or '.join(told)}?"
    unclear = [origin for origin, offers in _not_loaded(plugins) if not offers.complete]
    return _may_offer([*unclear, *(failure.origin for failure in plugins.failures)])


def where_else(name: str, *, plugins: PluginSet) -> str | None:
    """Return how to get a component of whatever kind, by its id or name; None where nothing is known."""
    sentences = dict.fromkeys(one for kind in KINDS for one in _sources(kind, name, plugins, None))
    return "; ".join(sentences) or _may_offer([failure.origin for failure in plugins.failures])


def how_to_get_command(name: str, *, plugins: PluginSet) -> str | None:
    """Return how to get a command, or a group of them, that no loaded plugin offers; None where nothing is known."""
    known = [one.name for one in known_distributions() if any(name in (own, own.split(" ")[0]) for own in one.commands)]
    return "; ".join(_offer(distribution, plugins) for distribution in known) or None


def _may_offer(origins: Sequence[PluginOrigin]) -> str | None:
    if not origins:
        return None
    named = ", ".join(sorted({str(origin) for origin in origins}))
    return f"a plugin that is not loaded may offer it ({named}): see `{doctor_command(origins)}`"


def _sources(kind: Kind, name: str, plugins: PluginSet, record: PluginRecord | None) -> Iterator[str]:
    """Yield a sentence for each place that it is known to come from."""
    recorded = record.component(kind, name) if record is not None else None
    if record is not None and recorded is not None:
        yield f"this run had it from {_as_recorded(recorded.distribution, record, plugins)}"
        return
    found = [_offer(known.name, plugins) for known in known_distributions() if known.offers(kind, name)]
    for origin, offers in _not_loaded(plugins):
        if any(kind == one.kind and name in (one.id, one.name) for one in offers.components):
            found.append(_offer(origin.distribution, plugins))
    yield from found
    if found or record is None:
        return
    failed = [failure.origin for failure in plugins.failures]
    loaded = {normal_name(one.origin.distribution) for one in plugins.loaded if one.origin not in failed}
    gone = [name for name in record.versions if normal_name(name) not in loaded]
    if gone:
        yield f"this run was made with {' and '.join(_as_recorded(name, record, plugins) for name in gone)}"


def _as_recorded(distribution: str, record: PluginRecord, plugins: PluginSet) -> str:
    """Return what a run had of a distribution, and how to have it again."""
    here = _origin(distribution, plugins)
    if record.is_file(distribution):
        file = Path(distribution)
        if here is not None:
            return f"{file}, which does not have it any more"
        if file.is_absolute() and not file.is_file():
            return f"{file}, which is not there any more: give it from where it is now, with `--plugin-file`"
        return f"{file}: give it with `--plugin-file {shlex.quote(str(file))}`"
    version = record.version_of(distribution)
    what = f"{distribution} {version}".strip()
    again = record.as_made(distribution) or f"`pip install {distribution}`"
    if here is None:
        return f"{what}, which is not installed: {again}"
    if here.version != version:
        return f"{what}, and {here.version} is installed: {again}"
    return f"{what}, which {_why_not(here, plugins) or 'does not have it'}"


def _offer(distribution: str, plugins: PluginSet) -> str:
    """Return how to get what a distribution offers, or why one that is installed does not help."""
    origin = _origin(distribution, plugins)
    if origin is None:
        return f"{distribution} offers it: `pip install {distribution}`"
    why_not = _why_not(origin, plugins)
    if why_not is not None:
        return f"{origin} offers it, and {why_not}"
    newer = f"`pip install --upgrade {origin.distribution}`"
    return f"{origin.distribution} offers it, but not in version {origin.version}, which is here: {newer}"


def _why_not(origin: PluginOrigin, plugins: PluginSet) -> str | None:
    """Return why a plugin that is installed does not count; None where it does."""
    if origin in plugins.skipped:
        return f"is switched off by {plugins.switches.by()}"
    if any(failure.origin == origin for failure in plugins.failures):
        return f"failed to load: see `{doctor_command([origin])}`"
    return None


def _origin(distribution: str, plugins: PluginSet) -> PluginOrigin | None:
    """Return an installed plugin of a distribution, first one that something is wrong with."""
    failed = [failure.origin for failure in plugins.failures]
    origins = [*plugins.skipped, *failed, *(loaded.origin for loaded in plugins.loaded)]
    wanted = normal_name(distribution)
    return next((one for one in origins if normal_name(one.distribution) == wanted), None)


def _not_loaded(plugins: PluginSet) -> list[tuple[PluginOrigin, Offers]]:
    """Return the plugins that failed or are switched off, with what their sources say they offer."""
    origins = dict.fromkeys([*plugins.skipped, *(failure.origin for failure in plugins.failures)])
    return [(origin, read_offers(origin.target, file=origin.file)) for origin in origins]
