"""A component that no loaded plugin has: near names, and who offers it and how to get that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facekit.registry import ComponentRecord, PluginRecord, PluginSet, Registry, UnknownComponent

Install = Any


def _hint(
    kind: str, name: str, *, only: str = "", record: PluginRecord | None = None, none: bool = False
) -> str | None:
    """Return the remedy for a name that nobody has, with these plugins loaded."""
    plugins = PluginSet({"FACEKIT_PLUGINS": only, "FACEKIT_NO_PLUGINS": "1" if none else ""})
    plugins.load_installed()
    with pytest.raises(UnknownComponent) as caught:
        Registry(plugins).find(kind, name, record=record)  # type: ignore[arg-type]
    assert caught.value.message == f"no {kind} is called {name!r}"
    return caught.value.remedy


@pytest.fixture
def without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process see throw-away distributions alone, as if none of facekit's own plugins were installed."""
    from facekit.registry import discovery

    real = discovery.metadata.distributions
    monkeypatch.setattr(
        discovery.metadata,
        "distributions",
        lambda: (one for one in real() if not str(one.metadata["Name"]).startswith("facekit-")),
    )


def test_near_names() -> None:
    assert _hint("loss", "feature_maching") == "did you mean 'feature_matching'?"
    known = _hint("loss", "quite_another_thing", only="facekit-losses")
    assert known.startswith("known: adversarial, ")
    assert ", feature_matching, " in known


def test_of_another_kind() -> None:
    assert _hint("metric", "region_colour") == "'region_colour' is a loss, not a metric"


def test_a_known_distribution_that_is_not_installed(without_ours: None) -> None:
    assert _hint("loss", "feature_matching") == "facekit-losses offers it: `pip install facekit-losses`"
    assert _hint("loss", "losses/feature_matching") == "facekit-losses offers it: `pip install facekit-losses`"


def test_near_names_of_known_distributions(without_ours: None, install: Install) -> None:
    assert _hint("loss", "feature_maching") == (
        "did you mean 'feature_matching' (of facekit-losses: `pip install facekit-losses`)?"
    )
    install.component("face-one", "one/feature_match")
    assert _hint("loss", "feature_matches") == (
        "did you mean 'feature_match' or 'feature_matching' (of facekit-losses: `pip install facekit-losses`)?"
    )


def test_a_known_distribution_that_is_switched_off() -> None:
    off = "facekit-metrics 0.1.0 offers it, and is switched off by"
    assert _hint("metric", "psnr", only="facekit-losses") == f"{off} FACEKIT_PLUGINS"
    assert _hint("metric", "psnr", only="-facekit-metrics") == f"{off} FACEKIT_PLUGINS"
    assert _hint("metric", "psnr", none=True) == f"{off} FACEKIT_NO_PLUGINS"


def test_a_near_name_of_one_that_is_switched_off() -> None:
    assert _hint("metric", "psrn", only="-facekit-metrics") == (
        "did you mean 'psnr' (of facekit-metrics 0.1.0, which is switched off by FACEKIT_PLUGINS)?"
    )


def test_a_known_distribution_that_is_broken(without_ours: None, install: Install) -> None:
    install("Facekit_Losses", "1 / 0", module="losses_copy", version="0.3")
    assert _hint("loss", "feature_matching") == (
        "Facekit_Losses 0.3 offers it, and failed to load: see `facekit plugins doctor`"
    )


def test_an_older_version_without_it(without_ours: None, install: Install) -> None:
    install("Facekit_Losses", install.hook, module="losses_copy", version="0.0.1")
    assert _hint("loss", "feature_matching") == (
        "Facekit_Losses offers it, but not in version 0.0.1, which is here: `pip install --upgrade Facekit_Losses`"
    )
    assert _hint("loss", "feature_maching") == (
        "did you mean 'feature_matching' (of Facekit_Losses 0.0.1, which is too old: "
        "`pip install --upgrade Facekit_Losses`)?"
    )


def test_a_stranger_whose_source_has_it(install: Install) -> None:
    install("face-one", install.source("face-one", "one/freckles") + "1 / 0\n")
    hint = "face-one 1.2 offers it, and failed to load: see `facekit plugins doctor`"
    assert _hint("loss", "freckles", only="face-one") == hint
    assert _hint("loss", "one/freckles", only="face-one") == hint
    assert _hint("loss", "freckles", only="-face-one") == (
        "face-one 1.2 offers it, and is switched off by FACEKIT_PLUGINS"
    )


def test_both_a_broken_plugin_and_a_near_name(install: Install) -> None:
    install("face-one", install.source("face-one", "one/region_colours") + "1 / 0\n")
    assert _hint("loss", "region_colours", only="face-one,facekit-losses") == (
        "face-one 1.2 offers it, and failed to load: see `facekit plugins doctor`; or did you mean "
        "'region_colour' or 'low_resolution_colour'?"
    )


def test_a_stranger_whose_source_does_not_tell(install: Install) -> None:
    install("face-one", "import gone\ndef facekit_components():\n    return gone.SPECS\n")
    assert _hint("loss", "freckles", only="face-one") == (
        "a plugin that is not loaded may offer it (face-one 1.2): see `facekit plugins doctor`"
    )


RECORD = PluginRecord(
    versions={"face-gone": "2.1", "face-one": "1.0", "/home/me/mine.py": ""},
    components=(
        ComponentRecord("loss", "gone/freckles", 1, "face-gone", "2.1"),
        ComponentRecord("loss", "one/old", 1, "face-one", "1.0"),
        ComponentRecord("loss", "mine/l9", 1, "/home/me/mine.py", is_file=True),
    ),
    files=("/home/me/mine.py",),
)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "freckles",
            "this run had it from face-gone 2.1, which is not installed: `pip install 'face-gone==2.1'`",
        ),
        ("one/old", "this run had it from face-one 1.0, and 1.2 is installed: `pip install 'face-one==1.0'`"),
        (
            "l9",
            "this run had it from /home/me/mine.py, which is not there any more: give it from where it is now, with "
            "`--plugin-file`",
        ),
    ],
)
def test_what_the_record_of_a_run_says(install: Install, name: str, told: str) -> None:
    install.component("face-one", "one/new_thing")
    assert _hint("loss", name, only="face-one", record=RECORD) == told


def test_the_record_of_a_run_whose_plugin_is_switched_off(install: Install) -> None:
    install.component("face-one", "one/old", version="1.0")
    assert _hint("loss", "old", only="-face-one", record=RECORD) == (
        "this run had it from face-one 1.0, which is switched off by FACEKIT_PLUGINS"
    )


def test_the_record_of_an_early_run_names_what_is_gone(install: Install) -> None:
    install.component("face-one", "one/l1", version="1.0")
    early = PluginRecord(versions={"face-gone": "2.1", "face-one": "1.0"})
    assert _hint("loss", "wrinkles", only="face-one", record=early) == (
        "this run was made with face-gone 2.1, which is not installed: `pip install 'face-gone==2.1'`"
    )


def test_records_are_read_from_what_is_there() -> None:
    known = ComponentRecord("loss", "one/l1", 3, "face-one", "1.2")
    in_file = ComponentRecord("metric", "my/l2", 1, "/home/me/mine.py", is_file=True)
    document = {
        "plugins": {"face-one": "1.2"},
        "components": {"losses.generator[0]": known.document(), "metrics[0]": in_file.document(), "metrics[1]": 3},
        "plugin_files": ["/home/me/mine.py", 7],
        "other": 1,
    }
    record = PluginRecord.read(json.loads(json.dumps(document)))
    assert record.components == (known, in_file)
    assert record.files == ("/home/me/mine.py",)
    assert record.component("loss", "l1") == record.component("loss", "one/l1") == known
    assert record.component("metric", "l1") is None
    assert record.as_made("face-one") == "`pip install 'face-one==1.2'`"
    assert record.as_made("face-two") is None
    for odd in (
        {"plugins": [1], "components": None, "plugin_files": "x"},
        [],
        None,
        {"components": {"a": {"kind": 1}}},
    ):
        assert PluginRecord.read(odd) == PluginRecord()


def test_a_plugin_file_that_is_there_is_named_as_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "my file.py"
    file.write_text("", encoding="utf-8")
    record = PluginRecord(
        components=(ComponentRecord("loss", "mine/l9", 1, str(file), is_file=True),), files=(str(file),)
    )
    assert _hint("loss", "l9", only="facekit-losses", record=record) == (
        f"this run had it from {file}: give it with `--plugin-file '{file}'`"
    )
