"""Where a component is to be had that no loaded plugin offers, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facekit.interfaces import did_you_mean, nearest
from facekit.registry.discovery import PluginOrigin, normal_name
from facekit.registry.known import known_distributions
from facekit.registry.offers import Offers, read_offers
from facekit.registry.plugins import PluginSet
from facekit.registry.spec import Kind

_DOCTOR = "see `facekit plugins doctor`"


@dataclass(frozen=True)
class PluginRecord:
    """The plugins that a run was made with.

    Args:
        versions: of each distribution; empty for a plugin that is one file, whose path stands for its name.
        components: which distribution each component came from, by kind and id: ``{"loss mine/l2": "facekit-mine"}``.
            Runs of early versions do not say it.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> PluginRecord:
        """Read it from the record of a run; what is not of the right form is left out."""
        versions, components = (
            {str(key): str(value) for key, value in part.items()} if isinstance(part, Mapping) else {}
            for part in (document.get("plugins"), document.get("components"))
        )
        return cls(versions, components)

    def distribution_of(self, kind: Kind, name: str) -> str | None:
        """Return the distribution that a component came from; None where that is not known."""
        for key, distribution in self.components.items():
            one, _, id_ = key.partition(" ")
            if one == kind and name in (id_, id_.partition("/")[2]):
                return distribution
        return None

    def as_made(self, distribution: str) -> str | None:
        """Return how to install the version that the run was made with; None for what it does not name."""
        version = self.versions.get(distribution)
        return f"`pip install '{distribution}=={version}'`" if version else None


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
    unclear = sorted({str(origin) for origin, offers in _not_loaded(plugins) if not offers.complete})
    if unclear:
        return f"a plugin that is not loaded may offer it ({', '.join(unclear)}): {_DOCTOR}"
    return None


def _sources(kind: Kind, name: str, plugins: PluginSet, record: PluginRecord | None) -> Iterator[str]:
    """Yield a sentence for each place that it is known to come from."""
    recorded = record.distribution_of(kind, name) if record is not None else None
    if record is not None and recorded is not None:
        yield f"this run had it from {_as_recorded(recorded, record, plugins)}"
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
    version = record.versions.get(distribution, "")
    if distribution.endswith(".py") and not version:
        return f"{distribution}: give it with `--plugin-file {distribution}`"
    what = f"{distribution} {version}".strip()
    again = record.as_made(distribution) or f"`pip install {distribution}`"
    here = [origin for origin in _origins(plugins) if normal_name(origin.distribution) == normal_name(distribution)]
    if not here:
        return f"{what}, which is not installed: {again}"
    if here[0].version != version:
        return f"{what}, and {here[0].version} is installed: {again}"
    return f"{what}, which {_why_not(here[0], plugins) or 'does not have it'}"


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
        return f"failed to load: {_DOCTOR}"
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
