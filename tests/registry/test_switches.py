"""FACEKIT_PLUGINS, FACEKIT_NO_PLUGINS and FACEKIT_STRICT_PLUGINS, through real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import FEW_PLUGINS

from facekit.registry.discovery import PluginOrigin, Switches

Install = Any
FACEKIT = Path(sys.executable).with_name("facekit")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(install: Install, tmp_path: Path) -> Run:
    """Call ``facekit`` with throw-away distributions on the path, and the switches alone of facekit's variables."""

    def call(*arguments: str, **switches: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
        return subprocess.run(
            [str(FACEKIT), *arguments],
            env={**kept, "PYTHONPATH": str(install.site), "COLUMNS": "200", **switches},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call


@pytest.fixture
def states(install: Install, run: Run, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Tell the state of each plugin as ``plugins ls`` has it; and check that what is off was not even imported."""
    note = tmp_path / "imported"
    for name in ("face-one", "face-two"):
        source = install.source(name, f"{name.replace('-', '_')}/l1")
        install(name, source + f"open({str(note)!r}, 'a').write({name!r} + '\\n')\n")

    def tell(**switches: str) -> dict[str, str]:
        note.write_text("", encoding="utf-8")
        done = run("plugins", "ls", "--json", **switches)
        assert done.returncode == 0, done.stderr
        rows = {row["distribution"]: row["state"] for row in json.loads(done.stdout)}
        loaded = {name for name in rows if rows[name] == "loaded"}
        assert set(note.read_text(encoding="utf-8").split()) == loaded & {"face-one", "face-two"}
        return rows

    return tell


def test_all_are_loaded(states: Callable[..., dict[str, str]]) -> None:
    assert set(states().values()) == {"loaded"}
    assert set(states(FACEKIT_PLUGINS="", FACEKIT_NO_PLUGINS="0").values()) == {"loaded"}


def test_none(states: Callable[..., dict[str, str]]) -> None:
    assert set(states(FACEKIT_NO_PLUGINS="1").values()) == {"switched off"}
    assert set(states(FACEKIT_NO_PLUGINS="yes", FACEKIT_PLUGINS="face-one").values()) == {"switched off"}


def test_only_these(states: Callable[..., dict[str, str]]) -> None:
    found = states(FACEKIT_PLUGINS="Face_One, facekit-losses")
    assert {name for name, state in found.items() if state == "loaded"} == {"face-one", "facekit-losses"}


def test_all_but_these(states: Callable[..., dict[str, str]]) -> None:
    found = states(FACEKIT_PLUGINS="-face-one,-facekit-tensorboard")
    assert {name for name, state in found.items() if state == "switched off"} == {"face-one", "facekit-tensorboard"}


def test_these_without_one(states: Callable[..., dict[str, str]]) -> None:
    found = states(FACEKIT_PLUGINS="face-one,face-two,-face-two")
    assert {name for name, state in found.items() if state == "loaded"} == {"face-one"}


@pytest.mark.parametrize("value", ["face-oen", "-face-oen", "face-one,-face-oen"])
def test_a_typing_error_is_no_switch(install: Install, run: Run, value: str) -> None:
    install.component("face-one", "one/l1")
    done = run("components", "ls", FACEKIT_PLUGINS=value)
    assert done.returncode == 2
    assert "FACEKIT_PLUGINS names 'face-oen', and no such plugin is installed" in done.stderr
    assert "did you mean 'face-one'" in done.stderr
    assert "Traceback" not in done.stderr


def test_failures_are_fatal_when_they_are_to_be(install: Install, run: Run) -> None:
    install("face-broken", "1 / 0")
    lenient = run("components", "ls")
    assert lenient.returncode == 0
    assert "plugins that could not be loaded: face-broken; see `facekit plugins doctor`" in lenient.stderr
    strict = run("components", "ls", FACEKIT_STRICT_PLUGINS="1")
    assert strict.returncode == 2
    assert strict.stdout == ""
    assert "plugin 'face-broken' of face-broken 1.2 failed while importing it: ZeroDivisionError" in strict.stderr
    assert "FACEKIT_STRICT_PLUGINS is set" in strict.stderr
    assert run("components", "ls", FACEKIT_STRICT_PLUGINS="1", FACEKIT_PLUGINS="-face-broken").returncode == 0
    assert run("--help", FACEKIT_STRICT_PLUGINS="1").returncode == 0  # loads no plugin


def test_the_doctor_works_with_every_switch(install: Install, run: Run) -> None:
    install("face-broken", "1 / 0")
    strict = run("plugins", "doctor", FACEKIT_STRICT_PLUGINS="1", FACEKIT_PLUGINS=FEW_PLUGINS)
    assert strict.returncode == 1
    assert "FACEKIT_STRICT_PLUGINS is set\n  so every command that loads plugins stops" in strict.stdout
    assert "No command that loads plugins works with these switches." in strict.stdout
    mistaken = run("plugins", "doctor", FACEKIT_PLUGINS=f"{FEW_PLUGINS},-face-borken")
    assert mistaken.returncode == 1
    assert "FACEKIT_PLUGINS names 'face-borken', and no such plugin is installed" in mistaken.stdout
    assert "face-broken (face-broken 1.2) is broken" in mistaken.stdout
    off = run("plugins", "doctor", FACEKIT_NO_PLUGINS="1")
    assert off.returncode == 0
    assert "face-broken (face-broken 1.2) is switched off, so it was not examined" in off.stdout


def test_reading_the_switches() -> None:
    switches = Switches.read({"FACEKIT_PLUGINS": " a , -b,,-, - c ", "FACEKIT_STRICT_PLUGINS": "On"})
    assert switches == Switches(none=False, only=("a",), never=("b", "c"), strict=True)
    for off in ("", "0", "false", "No", " off "):
        assert Switches.read({"FACEKIT_NO_PLUGINS": off}) == Switches()


def test_distributions_and_entry_points_are_both_meant() -> None:
    origin = PluginOrigin("losses", "Facekit.Losses", "1", "x")
    for value in ("losses", "facekit-losses", "FACEKIT_LOSSES"):
        assert Switches.read({"FACEKIT_PLUGINS": value}).load(origin)
        assert not Switches.read({"FACEKIT_PLUGINS": f"-{value}"}).load(origin)
    assert not Switches.read({"FACEKIT_PLUGINS": "other"}).load(origin)
    assert Switches.read({"FACEKIT_PLUGINS": "-other"}).load(origin)
