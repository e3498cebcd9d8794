"""Migrations: how a component reads options and weights that were written for an older version of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One change of a component's options or weights, and how what was written before it is read.

    A component of version 3 has two migrations, ``to=2`` and ``to=3``. A recipe says the version it was written for in
    ``use: name@2``; the recipe a run keeps always says it, with every option written out. A recipe that says none is
    taken to be of the newest version, but old names and removed options in it are still recognised.

    Options are those beside ``use:``; what lies inside of one that is a map of settings is not looked at.

    Args:
        to: the version of the component that made the change; 2 is the first.
        summary: what changed, in one sentence that people are shown.
        renamed: options that have another name now, old name to new name.
        values: values that are written otherwise now: by option (its new name), old value to new value. Of an option
            that is a list, each item.
        added: what the component did before an option existed, or before its default changed, by option (new name):
            filled in where a recipe of an older version leaves the option out.
        removed: options that are gone, each with a sentence on what to do instead.
        harmless: by removed option, the values that change nothing now (what is always done since); any other value is
            refused with the sentence of ``removed``.
        weights: ``"module:function"`` that turns a state dict ``{name: tensor}`` of the version before into one of this
            version, given ``(state, options)``; None where the weights did not change.
    """

    to: int
    summary: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Scalar, Any]] = field(default_factory=dict)
    added: Mapping[str, Any] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    weights: str | None = None


def mistake_in(migrations: Sequence[Migration], *, options: Collection[str]) -> str | None:
    """Return what is wrong with the migrations of a component, in words that follow its id; None where nothing is.

    Args:
        migrations: in order, the first one to version 2.
        options: the names of its options today.
    """
    for index, migration in enumerate(migrations):
        here = f"migration to version {migration.to}"
        later = migrations[index + 1 :]
        if not migration.summary.strip():
            return f"{here} has no summary, and people are shown it"
        if migration.weights is not None and (
            migration.weights.count(":") != 1 or not all(migration.weights.split(":"))
        ):
            return f"{here} names its weights {migration.weights!r}, not in the form 'module:function'"
        both = set(migration.removed) & set(migration.renamed)
        if both:
            return f"{here} removes and renames {_listed(both)}"
        unheard = set(migration.harmless) - set(migration.removed)
        if unheard:
            return f"{here} has harmless values of {_listed(unheard)}, which it does not remove"
        if len(set(migration.renamed.values())) < len(migration.renamed):
            return f"{here} gives one new name to several options"
        for role, names in (
            ("renames an option to", migration.renamed.values()),
            ("says how values are written of", migration.values),
            ("fills in", migration.added),
        ):
            for name in names:
                today = _name_today(name, later)
                if today is not None and today not in options:
                    return f"{here} {role} {name!r}, which is no option today; later migrations do not mention it"
    return None


def _name_today(name: str, later: Sequence[Migration]) -> str | None:
    """Return what an option is called after further migrations; None where one of them removes it."""
    for migration in later:
        if name in migration.removed:
            return None
        name = migration.renamed.get(name, name)
    return name


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
