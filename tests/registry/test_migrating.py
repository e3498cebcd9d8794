"""Options and weights of older versions, as pure functions on plain data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from facekit.interfaces import FacekitError, Options
from facekit.registry import ComponentSpec, MigratedOptions, Migration, migrate_options, migrate_weights
from facekit.registry.migrating import changes_weights


class PainterOptions(Options):
    filters: int = 64
    norm: str = "instance"
    layers: tuple[str, ...] = ()
    padding: str = "reflect"
    levels: int = 3
    swap: bool = True


SECOND = Migration(
    to=2,
    summary="Options have the names of the paper.",
    renamed={"width": "channels"},
    values={"norm": {"none": "off", True: "batch"}, "layers": {"relu1": "r1", "relu2": "r2"}},
    removed={"legacy": "Nothing takes its place.", "mode": "Set levels in its place."},
    harmless={"legacy": (False, None), "mode": ([], ["plain"])},
    weights="painter_weights:second",
)
THIRD = Migration(
    to=3,
    summary="Padding is an option",
    renamed={"channels": "filters"},
    values={"filters": {8: 16}},
    added={"padding": "zero", "levels": 1},
)
FOURTH = Migration(
    to=4, summary="Levels start at one.", values={"levels": {0: 1, 1: 2}}, weights="painter_weights:fourth"
)


def _spec(*migrations: Migration, options: type[Options] = PainterOptions) -> ComponentSpec:
    return ComponentSpec(
        interface_version=1,
        kind="generator",
        id="x/painter",
        summary="",
        options=options,
        factory="a:b",
        version=len(migrations) + 1,
        migrations=migrations,
    )


SPEC = _spec(SECOND, THIRD, FOURTH)


def _told(migrated: MigratedOptions) -> list[str]:
    return [note.message for note in migrated.notes]


def test_nothing_changes_without_migrations() -> None:
    options = {"filters": 3, "width": 4, "unheard of": [1]}
    migrated = migrate_options(_spec(), options, version=1)
    assert (migrated.options, migrated.notes, migrated.refusals) == (options, (), ())


def test_the_newest_version_is_taken_as_it_is() -> None:
    options = {"filters": 8, "norm": "none", "layers": ["relu1"], "levels": 0, "unheard of": 1}
    for version in (None, 4):
        migrated = migrate_options(SPEC, options, version=version)
        assert (migrated.options, migrated.notes, migrated.refusals) == (options, (), ())


def test_an_old_version_passes_through_every_migration() -> None:
    options = {"width": 8, "norm": "none", "layers": ["relu1", "other", "relu2"], "legacy": False, "mode": ["plain"]}
    migrated = migrate_options(SPEC, options, version=1)
    assert migrated.options == {
        "filters": 16,
        "norm": "off",
        "layers": ["r1", "other", "r2"],
        "padding": "zero",
        "levels": 2,
    }
    assert migrated.written == {"filters": "width", "norm": "norm", "layers": "layers"}
    assert not migrated.refusals
    assert _told(migrated) == [
        "'legacy' is gone since version 2 of x/painter, and false changed nothing: Options have the names of the paper",
        "'mode' is gone since version 2 of x/painter, and [\"plain\"] changed nothing: "
        "Options have the names of the paper",
        "`width: 8` is written `filters: 16` since version 3 of x/painter: Options have the names of the paper; "
        "Padding is an option",
        '`norm: "none"` is written `norm: "off"` since version 2 of x/painter: Options have the names of the paper',
        '`layers: ["relu1", "other", "relu2"]` is written `layers: ["r1", "other", "r2"]` since version 2 of '
        "x/painter: Options have the names of the paper",
        "'padding' is set to \"zero\", as version 1 of x/painter had it: Padding is an option",
        "'levels' is set to 2, as version 1 of x/painter had it: Padding is an option; Levels start at one",
    ]


def test_a_version_in_between_passes_through_what_came_after_it() -> None:
    migrated = migrate_options(SPEC, {"channels": 5, "norm": "none", "levels": 0}, version=2)
    assert migrated.options == {"filters": 5, "norm": "none", "levels": 1, "padding": "zero"}
    assert _told(migrated)[0] == "'channels' is called 'filters' since version 3 of x/painter: Padding is an option"


@pytest.mark.parametrize("version", [None, 4, 3])
def test_names_that_are_no_option_today_are_recognised_without_a_version(version: int | None) -> None:
    migrated = migrate_options(SPEC, {"width": 8, "norm": "none"}, version=version)
    # `norm` is an option today, so its value is not guessed at; `width` was written for version 1, so 8 meant 16.
    assert migrated.options == {"filters": 16, "norm": "none"}
    assert migrate_options(SPEC, {"channels": 8}, version=version).options == {"filters": 16}


def test_a_newer_name_in_an_old_recipe_is_read_as_what_it_is() -> None:
    migrated = migrate_options(SPEC, {"filters": 8, "padding": "x", "levels": 5}, version=1)
    assert migrated.options == {"filters": 8, "padding": "x", "levels": 5}
    assert migrated.notes == ()
    assert migrate_options(SPEC, {"channels": 9}, version=1).options["filters"] == 9


def test_a_removed_option_is_refused_with_what_to_do_unless_its_value_changed_nothing() -> None:
    for version in (None, 1, 4):
        migrated = migrate_options(SPEC, {"legacy": True, "mode": ["plain", "other"], "norm": "a"}, version=version)
        assert "legacy" not in migrated.options
        first, second = migrated.refusals
        assert (first.written, first.name) == ("legacy", None)
        assert first.message == "'legacy' is gone since version 2 of x/painter: Nothing takes its place"
        assert second.message.endswith(": Set levels in its place")
    harmless = migrate_options(SPEC, {"legacy": None, "mode": []})
    assert (harmless.options, len(harmless.notes), harmless.refusals) == ({}, 2, ())


def test_true_is_not_one() -> None:
    assert migrate_options(SPEC, {"norm": True}, version=1).options["norm"] == "batch"
    assert migrate_options(SPEC, {"norm": 1}, version=1).options["norm"] == 1
    assert migrate_options(SPEC, {"channels": 8.0}).options["filters"] == 16
    assert migrate_options(SPEC, {"legacy": 0}).refusals


def test_maps_are_not_looked_into() -> None:
    assert migrate_options(SPEC, {"layers": {"relu1": "relu1"}}, version=1).options["layers"] == {"relu1": "relu1"}
    assert migrate_options(SPEC, {"layers": [["relu1"], "x"]}, version=1).options["layers"] == [["r1"], "x"]


def test_an_option_under_both_names() -> None:
    both = migrate_options(SPEC, {"width": 1, "filters": 2})
    (refusal,) = both.refusals
    assert refusal.message == "'width' is called 'filters' since version 3 of x/painter, and 'filters' is given too"
    assert (refusal.written, refusal.name, refusal.remedy) == ("width", "filters", "keep 'filters'")
    (refusal,) = migrate_options(SPEC, {"filters": 2, "width": 1}).refusals
    assert refusal.written == "width"
    (refusal,) = migrate_options(SPEC, {"width": 1, "channels": 2}).refusals
    assert refusal.remedy == "write 'filters' in place of both"


def test_of_both_names_the_upper_layer_wins() -> None:
    for layers, wanted in (({"width": 0, "filters": 1}, 2), ({"width": 2, "filters": 1}, 1)):
        migrated = migrate_options(SPEC, {"width": 1, "filters": 2}, layers=layers)
        assert (migrated.options, migrated.refusals) == ({"filters": wanted}, ())
    assert migrate_options(SPEC, {"filters": 2, "width": 1}, layers={"width": 5}).written == {"filters": "width"}


def test_single_options_may_be_written_for_other_versions() -> None:
    migrated = migrate_options(SPEC, {"norm": "none", "layers": ["relu1"]}, version=4, versions={"norm": 1})
    assert migrated.options == {"norm": "off", "layers": ["relu1"]}
    migrated = migrate_options(SPEC, {"norm": "none", "layers": ["relu1"]}, version=1, versions={"norm": 3})
    assert migrated.options == {"norm": "none", "layers": ["r1"], "padding": "zero", "levels": 2}


def test_names_that_were_exchanged() -> None:
    class Exchanged(Options):
        a: int = 0
        b: int = 0

    exchange = Migration(to=2, summary="x", renamed={"a": "b", "b": "a"}, values={"a": {1: 10}})
    spec = _spec(exchange, options=Exchanged)
    assert migrate_options(spec, {"a": 1, "b": 1}, version=1).options == {"b": 1, "a": 10}
    assert migrate_options(spec, {"a": 1}, version=1).options == {"b": 1}
    assert migrate_options(spec, {"a": 1, "b": 2}).options == {"a": 1, "b": 2}


def test_the_oldest_default_is_the_one_that_is_filled_in() -> None:
    once = Migration(to=2, summary="x", added={"levels": 1})
    again = Migration(to=3, summary="y", added={"levels": 2})
    assert migrate_options(_spec(once, again), {}, version=1).options == {"levels": 1}
    assert migrate_options(_spec(once, again), {}, version=2).options == {"levels": 2}
    assert migrate_options(_spec(once, again), {"levels": 9}, version=1).options == {"levels": 9}
    renamed = Migration(to=3, summary="y", renamed={"steps": "levels"}, values={"levels": {1: 7}})
    first = Migration(to=2, summary="x", added={"steps": 1})
    assert migrate_options(_spec(first, renamed), {}, version=1).options == {"levels": 7}
    assert migrate_options(_spec(first, renamed), {"levels": 3}, version=1).options == {"levels": 3}
    assert migrate_options(_spec(first, renamed), {"steps": 3}, version=1).options == {"levels": 3}


def test_what_was_filled_in_and_then_removed_must_have_been_harmless() -> None:
    first = Migration(to=2, summary="x", added={"extra": "old way"})
    gone = Migration(to=3, summary="y", removed={"extra": "There is one way only."})
    (refusal,) = migrate_options(_spec(first, gone), {}, version=1).refusals
    assert (refusal.written, refusal.name) == (None, None)
    assert refusal.message == (
        "version 1 of x/painter had 'extra' at \"old way\", which is gone since version 3 of x/painter: "
        "There is one way only"
    )
    harmless = Migration(
        to=3, summary="y", removed={"extra": "There is one way only."}, harmless={"extra": ("old way",)}
    )
    migrated = migrate_options(_spec(first, harmless), {}, version=1)
    assert (migrated.options, migrated.refusals) == ({}, ())
    (refusal,) = migrate_options(_spec(first, gone), {"extra": 1}, version=1).refusals
    assert refusal.written == "extra"


def test_the_options_given_are_not_changed() -> None:
    given_options = {"layers": ["relu1"], "width": 8}
    migrated = migrate_options(SPEC, given_options, version=1)
    assert given_options == {"layers": ["relu1"], "width": 8}
    shared = Migration(to=2, summary="x", added={"layers": ["a"]})
    for _ in range(2):
        migrated = migrate_options(_spec(shared), {}, version=1)
        assert migrated.options == {"layers": ["a"]}
        migrated.options["layers"].append("b")


_names = st.sampled_from(["width", "channels", "filters", "norm", "layers", "legacy", "mode", "padding", "levels", "x"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.sampled_from(["none", "off", "relu1", "r1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_names, _values, max_size=5), st.sampled_from([None, 1, 2, 3, 4]))
def test_migrating_again_changes_nothing(options: dict[str, Any], version: int | None) -> None:
    once = migrate_options(SPEC, options, version=version)
    assert {*once.written} <= {*once.options}
    assert not {"width", "channels", "legacy", "mode"} & once.options.keys()
    known = {note.written for note in once.refusals} | {note.written for note in once.notes} | {*once.written.values()}
    twice = [note for note in once.refusals if "is given too" in note.message]
    assert len(options.keys() - known) <= len(twice)  # nothing is lost without a word
    again = migrate_options(SPEC, once.options, version=4)
    assert (again.options, again.notes, again.refusals) == (once.options, (), ())


@pytest.mark.parametrize(
    ("migration", "said"),
    [
        (Migration(to=2, summary=" "), "the migration to version 2 has no summary"),
        (Migration(to=2, summary="x", renamed={"a": "filter"}), "renames an option to 'filter', which is no option"),
        (Migration(to=2, summary="x", added={"b": 1}), "fills in 'b', which is no option today"),
        (Migration(to=2, summary="x", values={"b": {1: 2}}), "says how values are written of 'b'"),
        (Migration(to=2, summary="x", harmless={"b": (1,)}), "has harmless values of 'b', which it does not remove"),
        (Migration(to=2, summary="x", renamed={"a": "norm"}, removed={"a": "b"}), "removes and renames 'a'"),
        (Migration(to=2, summary="x", renamed={"a": "norm", "b": "norm"}), "gives one new name to several options"),
        (Migration(to=2, summary="x", weights="module"), "weights 'module', not in the form 'module:function'"),
        (Migration(to=3, summary="x"), r"has migrations to \[3\]"),
    ],
)
def test_migrations_are_checked(migration: Migration, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _spec(migration)


def test_names_may_go_on_changing() -> None:
    first = Migration(to=2, summary="x", renamed={"a": "b"}, added={"c": 1})
    second = Migration(to=3, summary="x", renamed={"b": "filters"}, removed={"c": "no"})
    assert _spec(first, second).version == 3


def test_options_may_have_an_alias() -> None:
    class Aliased(Options):
        filters: int = Field(3, alias="lambda")

    rename = Migration(to=2, summary="x", renamed={"l": "lambda"})
    assert migrate_options(_spec(rename, options=Aliased), {"l": 1}).options == {"lambda": 1}


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
    assert migrate_weights(SPEC, state, options, version=1) == {"head": 2, "other": 2}
    assert migrate_weights(SPEC, {"first": 3}, options, version=2) == {"head": 4}
    assert migrate_weights(SPEC, state, options, version=4) == state == {"stem": 1, "other": 2}
    assert [changes_weights(SPEC, version=version) for version in (1, 2, 3, 4)] == [True, True, True, False]


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
        migrate_weights(spec, state, PainterOptions(), version=1)
    assert state == {"stem": 1}
