"""Migrations: how a component reads options and weights that were written for an older version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One change of a component's options or weights, and how what was written before it is read.

    A component of version 3 has two migrations, ``to=2`` and ``to=3``. A recipe says the version it was written for in
    ``use: name@2``; the recipe a run keeps always says it, with every option written out. A recipe that says none is
    taken to be of the newest version, but old names and removed options in it are still recognised.

    Args:
        to: the version of the component that made the change; 2 is the first.
        summary: what changed, in one sentence that people are shown.
        renamed: options that have another name now, old name to new name.
        values: values that are written otherwise now: by option (its new name), old value to new value.
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
    harmless: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    weights: str | None = None
