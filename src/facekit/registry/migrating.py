"""Applying migrations: options and weights of an older version of a component become those of today.

Pure functions on plain data: recipes put the places back (``facekit.recipe.migrating``), the engine the tensors.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from facekit.interfaces import FacekitError, Options
from facekit.registry.migration import Migration
from facekit.registry.spec import ComponentSpec

_MOST_SHOWN = 60


class OptionNote(NamedTuple):
    """What a migration did to one option, or why it could not: what people are told, and what to do about it.

    ``written`` is the option's name as it was written, None for one that was filled in; ``name`` its name today, None
    where it is gone.
    """

    written: str | None
    name: str | None
    message: str
    remedy: str | None = None


class MigratedOptions(NamedTuple):
    """Options as the newest version of a component has them: plain data by name, without those that were refused.

    ``written`` is the name each was written under, by its name today, without those that were filled in; ``notes`` say
    what was changed, ``refusals`` what could not be brought to today.
    """

    options: dict[str, Any]
    written: dict[str, str]
    notes: tuple[OptionNote, ...]
    refusals: tuple[OptionNote, ...]


@dataclass
class _Option:
    """An option on its way through the migrations."""

    written: str | None
    value: Any
    given: Any = None
    """The value as it was written."""
    name: str = ""
    layer: int = 0
    path: dict[int, str] = field(default_factory=dict)
    """What it is called, by version."""
    changes: list[Migration] = field(default_factory=list)
    ended: Migration | None = None
    """What removed it."""

    @property
    def is_harmless(self) -> bool:
        """Whether it is gone and its value changed nothing."""
        return self.ended is not None and any(_same(one, self.value) for one in self.ended.harmless.get(self.name, ()))


def migrate_options(
    spec: ComponentSpec,
    options: Mapping[str, Any],
    *,
    version: int | None = None,
    versions: Mapping[str, int] | None = None,
    layers: Mapping[str, int] | None = None,
) -> MigratedOptions:
    """Return options that were written for an older version of a component as the newest version has them.

    An option that no version ever had stays as it is: checking options comes later. Of an option that is given under
    its old name and under its new one, the upper layer's is taken, and both in one layer are refused.

    Args:
        spec: the component.
        options: plain data by name.
        version: what they were written for. None for the newest: then names that are no option today are still
            recognised, values are taken as they are, and nothing is filled in.
        versions: of single options that were written for another version than the rest.
        layers: of single options: the number of the layer of the recipe they stand in, upper ones larger; 0 by default.
    """
    newest, known = spec.version, _names_of(spec)
    stated = newest if version is None else min(version, newest)
    brought = []
    for name, value in options.items():
        start = min((versions or {}).get(name, stated), newest)
        option = _Option(name, value, value, layer=(layers or {}).get(name, 0))
        brought.append(_bring(option, name, _written_for(name, start, spec.migrations, known), spec.migrations))
    refusals: list[OptionNote] = []
    kept: dict[str, _Option] = {}
    notes: list[OptionNote] = []
    for option in brought:
        if option.ended is not None:
            (notes if option.is_harmless else refusals).append(_gone(spec, option))
            continue
        rival = kept.get(option.name)
        if rival is None or option.layer > rival.layer:
            kept[option.name] = option
        elif option.layer == rival.layer:
            refusals.append(_twice(spec, rival, option))
    for option in _fill_in(spec, stated, brought):
        if option.ended is not None:
            refusals.append(_gone(spec, option, stated))
        elif option.name not in kept:
            kept[option.name] = option
    notes += [note for option in kept.values() for note in _changed(spec, option, stated)]
    return MigratedOptions(
        options={name: option.value for name, option in kept.items()},
        written={name: option.written for name, option in kept.items() if option.written is not None},
        notes=tuple(notes),
        refusals=tuple(refusals),
    )


def migrate_weights(spec: ComponentSpec, state: Mapping[str, Any], options: Options, *, version: int) -> dict[str, Any]:
    """Return the tensors of an older version of a component as the newest version has them.

    Args:
        spec: the component.
        state: its state dict, names without the place in the model. Not changed, unless a migration does.
        options: its options as they are today.
        version: the version that wrote it.

    Raises:
        FacekitError: a migration fails, or gives something else than tensors by name.
    """
    migrated = dict(state)
    for migration in spec.migrations:
        if migration.to <= version or migration.weights is None:
            continue
        what = f"the migration of {spec.id!r} to version {migration.to} ({migration.weights})"
        try:
            module, function = migration.weights.split(":")
            given = getattr(import_module(module), function)(dict(migrated), options)
        except FacekitError:
            raise
        except Exception as error:
            raise FacekitError(
                f"{what} failed on the weights of version {migration.to - 1}: {type(error).__name__}: {error}",
                remedy="this is a mistake in the plugin",
            ) from error
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise FacekitError(
                f"{what} gave {type(given).__name__}, not tensors by name", remedy="this is a mistake in the plugin"
            )
        migrated = dict(given)
    return migrated


def changes_weights(spec: ComponentSpec, *, version: int) -> bool:
    """Tell whether weights that a version of a component wrote have to be migrated."""
    return any(migration.to > version and migration.weights is not None for migration in spec.migrations)


def _names_of(spec: ComponentSpec) -> set[str]:
    return {name for key, info in spec.options.model_fields.items() for name in (key, info.alias) if name}


def _written_for(name: str, stated: int, migrations: Sequence[Migration], known: Collection[str]) -> int:
    """Return the version an option was written for: the stated one, or an older one that alone had the name."""
    touching = [each.to for each in migrations if name in each.renamed or name in each.removed]
    if name in known or not touching or touching[-1] > stated:
        return stated
    return touching[-1] - 1


def _bring(option: _Option, name: str, version: int, migrations: Sequence[Migration]) -> _Option:
    """Take an option of a version through all later migrations."""
    for migration in migrations:
        if migration.to <= version:
            continue
        if name in migration.removed:
            option.ended = migration
            break
        before = (name, option.value)
        # A new name that is written already speaks the new language; unless names were exchanged.
        is_new = name in migration.renamed.values() and name not in migration.renamed
        name = migration.renamed.get(name, name)
        if name in migration.values and not is_new:
            option.value = _translated(option.value, migration.values[name])
        if not _same((name, option.value), before):
            option.changes.append(migration)
        option.path[migration.to] = name
    option.name = name
    return option


def _fill_in(spec: ComponentSpec, version: int, given: Sequence[_Option]) -> list[_Option]:
    """Return the options that an older version did not have or had another default for, and that nobody gave."""
    filled: list[_Option] = []
    for migration in spec.migrations:
        if migration.to <= version:
            continue
        for name, value in migration.added.items():
            others = [*given, *filled]
            if any(other.path.get(migration.to) == name for other in others):
                continue
            option = _bring(_Option(None, copy.deepcopy(value)), name, migration.to, spec.migrations)
            option.path[migration.to] = name
            if any(other.name == option.name and other.ended is None for other in others):
                continue
            if option.ended is None or not option.is_harmless:
                option.changes.insert(0, migration)
                filled.append(option)
    return filled


def _translated(value: Any, table: Mapping[Any, Any]) -> Any:
    """Return what a value is written as now; the items of a list one by one."""
    if isinstance(value, list | tuple):
        return [_translated(item, table) for item in value]
    for old, new in table.items():
        if _same(old, value):
            return copy.deepcopy(new)
    return value


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal in a recipe, where true is not 1 but 1 is 1.0, and a list may be a tuple."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _changed(spec: ComponentSpec, option: _Option, version: int) -> list[OptionNote]:
    """Return what to tell of an option whose name or value is another now, or that was filled in."""
    if not option.changes:
        return []
    since = option.changes[-1].to
    if option.written is None:
        message = f"{option.name!r} is set to {_shown(option.value)}, as version {version} of {spec.id} had it"
    elif _same(option.given, option.value):
        message = f"{option.written!r} is called {option.name!r} since version {since} of {spec.id}"
    else:
        before, now = f"{option.written}: {_shown(option.given)}", f"{option.name}: {_shown(option.value)}"
        message = f"`{before}` is written `{now}` since version {since} of {spec.id}"
    return [OptionNote(option.written, option.name, f"{message}: {_summaries(option.changes)}")]


def _gone(spec: ComponentSpec, option: _Option, version: int | None = None) -> OptionNote:
    """Return what to tell of an option that was removed."""
    assert option.ended is not None
    since = f"since version {option.ended.to} of {spec.id}"
    advice = option.ended.removed[option.name].rstrip(".")
    if option.written is None:
        message = f"version {version} of {spec.id} had {option.name!r} at {_shown(option.value)}, which is gone {since}"
        return OptionNote(None, None, f"{message}: {advice}")
    if option.is_harmless:
        message = f"{option.written!r} is gone {since}, and {_shown(option.value)} changed nothing"
        return OptionNote(option.written, None, f"{message}: {_summaries([option.ended])}")
    return OptionNote(option.written, None, f"{option.written!r} is gone {since}: {advice}")


def _twice(spec: ComponentSpec, first: _Option, second: _Option) -> OptionNote:
    """Return what to tell of one option that is given under two names."""
    old, new = (second, first) if first.written == first.name else (first, second)
    last = (old.changes or new.changes)[-1].to
    message = (
        f"{old.written!r} is called {old.name!r} since version {last} of {spec.id}, and {new.written!r} is given too"
    )
    remedy = f"keep {new.written!r}" if new.written == new.name else f"write {new.name!r} in place of both"
    return OptionNote(old.written, old.name, message, remedy)


def _summaries(migrations: Sequence[Migration]) -> str:
    return "; ".join(migration.summary.strip().rstrip(".") for migration in migrations)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
