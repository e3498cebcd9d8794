"""Migrations: what is wrong with one is said when the plugin is loaded, and weights pass through all that are later."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from facekit.interfaces import FacekitError, Options
from facekit.registry import ComponentSpec, Migration


class PainterOptions(Options):
    filters: int = 64
    norm: str = "instance"


SECOND = Migration(to=2, summary="Layers have the names of the paper.", weights="painter_weights:second")
THIRD = Migration(to=3, summary="Filters are called filters.", renamed={"channels": "filters"})
FOURTH = Migration(to=4, summary="The head takes it all.", weights="painter_weights:fourth")


def _spec(*migrations: Migration) -> ComponentSpec:
    return ComponentSpec(
        interface_version=1,
        kind="generator",
        id="x/painter",
        summary="",
        options=PainterOptions,
        factory="a:b",
        version=len(migrations) + 1,
        migrations=migrations,
    )


SPEC = _spec(SECOND, THIRD, FOURTH)


@pytest.mark.parametrize(
    ("migration", "said"),
    [
        (Migration(to=2, summary=" "), "the migration to version 2 has no summary"),
        (Migration(to=2, summary="x", renamed={"a": "filter"}), "renames an option to 'filter', which none has"),
        (Migration(to=2, summary="x", harmless={"b": (1,)}), "has harmless values of 'b', which it does not remove"),
        (Migration(to=2, summary="x", weights="module"), "weights 'module', not in the form 'module:function'"),
        (Migration(to=3, summary="x"), r"has migrations to \[3\]"),
    ],
)
def test_migrations_are_checked(migration: Migration, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _spec(migration)


def test_names_may_go_on_changing() -> None:
    first = Migration(to=2, summary="x", renamed={"a": "b"})
    second = Migration(to=3, summary="x", renamed={"b": "filters"}, removed={"c": "no"})
    assert _spec(first, second).version == 3


WEIGHTS = """
def second(state, options):
    assert options.filters == 5
    return {name.replace("stem", "first"): value for name, value in state.items()}

def fourth(state, options):
    state["head"] = state.pop("first") + 1
    return state

def fails(state, options):
    raise KeyError("stem")

def refuses(state, options):
    from facekit.interfaces import FacekitError
    raise FacekitError("weights of three levels cannot be read", remedy="train it again")

def gives_nothing(state, options):
    state.clear()
"""


@pytest.fixture
def painter_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "painter_weights.py").write_text(WEIGHTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "painter_weights", raising=False)


@pytest.mark.usefixtures("painter_weights")
def test_weights_pass_through_every_later_migration() -> None:
    state, options = {"stem": 1, "other": 2}, PainterOptions(filters=5)
    assert SPEC.migrate_weights(state, options, version=1) == {"head": 2, "other": 2}
    assert SPEC.migrate_weights({"first": 3}, options, version=2) == {"head": 4}
    assert SPEC.migrate_weights(state, options, version=4) == state == {"stem": 1, "other": 2}


@pytest.mark.usefixtures("painter_weights")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("fails", r"x/painter' to version 2 \(painter_weights:fails\) failed on the weights of version 1: KeyError"),
        ("refuses", "weights of three levels cannot be read"),
        ("gives_nothing", "gave NoneType, not tensors by name"),
        ("missing", "AttributeError"),
    ],
)
def test_a_migration_of_weights_that_fails_says_whose_it_is(function: str, said: str) -> None:
    spec = _spec(Migration(to=2, summary="x", weights=f"painter_weights:{function}"))
    state = {"stem": 1}
    with pytest.raises(FacekitError, match=said):
        spec.migrate_weights(state, PainterOptions(), version=1)
    assert state == {"stem": 1}
