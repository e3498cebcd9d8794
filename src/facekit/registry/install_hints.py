"""Where a component is to be had that no loaded plugin offers, and how to get it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from facekit.interfaces import did_you_mean, nearest
from facekit.registry.discovery import PluginOrigin, doctor_command, normal_name
from facekit.registry.known_plugins import known_distributions
from facekit.registry.plugin_record import PluginRecord
from facekit.registry.plugins import PluginSet
from facekit.registry.spec import KINDS, Kind
from facekit.registry.static_scan import Offers, read_offers


def how_to_get(
    kind: Kind, name: str, *, names: Sequence[str], plugins: PluginSet, record: PluginRecord | None = None
) -> str | None:
    """Return how to get a component, or what else may be meant; None where nothing is known.

    Args:
        kind: its kind.
        name: its id, or the name alone.
        names: the names of the components of this kind that are there.
        plugins: the plugins that were looked for.
        record: what the run was made with whose recipe names it.
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
    near_names = nearest(name, [*names, *elsewhere])
    if near_names:
        told = [f"{one!r}{_bracketed(elsewhere.get(one), plugins)}" for one in near_names]
        return f"did you mean {' or '.join(told)}?"
    unclear = [origin for origin, offers in _not_loaded(plugins) if not offers.complete]
    unclear += [failure.origin for failure in plugins.failures]
    if unclear:
        return f"a plugin that is not loaded may offer it ({_named(unclear)}): {_see_doctor(unclear)}"
    return None


def where_else(name: str, *, plugins: PluginSet) -> str | None:
    """Return how to get a component of whatever kind, by its id or name; None where nothing is known."""
    sentences = list(dict.fromkeys(one for kind in KINDS for one in _sources(kind, name, plugins, None)))
    failed = [failure.origin for failure in plugins.failures]
    if not sentences and failed:
        sentences = [f"a plugin that is not loaded may offer it ({_named(failed)}): {_see_doctor(failed)}"]
    return "; ".join(sentences) or None


def how_to_get_command(name: str, *, plugins: PluginSet) -> str | None:
    """Return how to get a command, or a group of them, that no loaded plugin offers; None where nothing is known."""
    sentences = [
        _state_of(known.name, plugins) or f"{known.name} offers it: `pip install {known.name}`"
        for known in known_distributions()
        if any(name in (one, one.split(" ")[0]) for one in known.commands)
    ]
    return "; ".join(sentences) or None


def _sources(kind: Kind, name: str, plugins: PluginSet, record: PluginRecord | None) -> Iterator[str]:
    """Yield a sentence for each place that it is known to come from."""
    recorded = record.component(kind, name) if record is not None else None
    if record is not None and recorded is not None:
        yield f"this run had it from {_as_recorded(recorded.distribution, record, plugins)}"
        return
    found = False
    for known in known_distributions():
        if known.offers(kind, name):
            found = True
            yield _state_of(known.name, plugins) or f"{known.name} offers it: `pip install {known.name}`"
    for origin, offers in _not_loaded(plugins):
        if any(kind == one.kind and name in (one.id, one.name) for one in offers.components):
            found = True
            yield _state_of(origin.distribution, plugins) or str(origin)
    if found or record is None:
        return
    gone = [name for name in record.versions if not _is_loaded(name, plugins)]
    if gone:
        yield f"this run was made with {' and '.join(_as_recorded(name, record, plugins) for name in gone)}"


def _as_recorded(distribution: str, record: PluginRecord, plugins: PluginSet) -> str:
    """Return what a run had of a distribution, and how to have it again."""
    here = [origin for origin in _origins(plugins) if normal_name(origin.distribution) == normal_name(distribution)]
    if record.is_file(distribution):
        return _file_as_recorded(Path(distribution), given=bool(here))
    version = record.version_of(distribution)
    what = f"{distribution} {version}".strip()
    again = record.as_made(distribution) or f"`pip install {distribution}`"
    if not here:
        return f"{what}, which is not installed: {again}"
    if here[0].version != version:
        return f"{what}, and {here[0].version} is installed: {again}"
    return f"{what}, which {_why_not(here[0], plugins) or 'does not have it'}"


def _file_as_recorded(file: Path, *, given: bool) -> str:
    if given:
        return f"{file}, which does not have it any more"
    if file.is_absolute() and not file.is_file():
        return f"{file}, which is not there any more: give it from where it is now, with `--plugin-file`"
    return f"{file}: give it with `--plugin-file {shlex.quote(str(file))}`"


def _state_of(distribution: str, plugins: PluginSet) -> str | None:
    """Return why an installed distribution does not help; None where it is not installed."""
    for origin in _origins(plugins):
        if normal_name(origin.distribution) == normal_name(distribution):
            why_not = _why_not(origin, plugins)
            if why_not is None:
                newer = f"`pip install --upgrade {origin.distribution}`"
                return f"{origin.distribution} offers it, but not in version {origin.version}, which is here: {newer}"
            return f"{origin} offers it, and {why_not}"
    return None


def _why_not(origin: PluginOrigin, plugins: PluginSet) -> str | None:
    """Return why a plugin that is installed does not count; None where it does."""
    if origin in plugins.skipped:
        return f"is switched off by {plugins.switches.by()}"
    if any(failure.origin == origin for failure in plugins.failures):
        return f"failed to load: {_see_doctor([origin])}"
    return None


def _bracketed(distribution: str | None, plugins: PluginSet) -> str:
    if distribution is None:
        return ""
    for origin in _origins(plugins):
        if normal_name(origin.distribution) == normal_name(distribution):
            why_not = _why_not(origin, plugins) or f"is too old: `pip install --upgrade {origin.distribution}`"
            return f" (of {origin}, which {why_not})"
    return f" (of {distribution}: `pip install {distribution}`)"


def _not_loaded(plugins: PluginSet) -> Iterator[tuple[PluginOrigin, Offers]]:
    """Yield the plugins that failed or are switched off, with what their sources say they offer."""
    failed = [failure.origin for failure in plugins.failures]
    for origin in dict.fromkeys([*plugins.skipped, *failed]):
        yield origin, read_offers(origin.target, file=origin.file)


def _see_doctor(origins: Iterable[PluginOrigin]) -> str:
    return f"see `{doctor_command(origins)}`"


def _named(origins: Iterable[PluginOrigin]) -> str:
    return ", ".join(sorted({str(origin) for origin in origins}))


def _origins(plugins: PluginSet) -> list[PluginOrigin]:
    failed = [failure.origin for failure in plugins.failures]
    # Those first that something is wrong with.
    return list(dict.fromkeys([*plugins.skipped, *failed, *(loaded.origin for loaded in plugins.loaded)]))


def _is_loaded(distribution: str, plugins: PluginSet) -> bool:
    return any(
        normal_name(loaded.origin.distribution) == normal_name(distribution)
        and loaded.origin not in [failure.origin for failure in plugins.failures]
        for loaded in plugins.loaded
    )
