"""The first tier of tests, ``pytest -m unit``: what the top ``conftest.py`` lists, and nothing that takes long."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]

TAKES_LONG = re.compile(
    r"^\s*(?:import|from) (?:multiprocessing|playwright)\b|^from facekit\.engine import .*\btrain\b", re.MULTILINE
)
"""Imports of what unit tests do without; single tests that call ``subprocess`` are left out by themselves."""


@pytest.fixture(scope="module")
def tiers() -> ModuleType:
    spec = spec_from_file_location("tiers_of_tests", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_listed_is_there(tiers: ModuleType) -> None:
    for name in (*tiers.UNIT, *tiers.NO_UNIT):
        assert (ROOT / name).exists(), name
    assert all(name.startswith(tiers.UNIT) for name in tiers.NO_UNIT)


def test_no_unit_test_trains_or_starts_a_process(tiers: ModuleType) -> None:
    places = [ROOT / "tests", ROOT / "plugins"]
    files = [path for place in places for path in place.rglob("test_*.py") if tiers.is_unit(path)]
    assert len(files) > 30
    assert [path.name for path in files if TAKES_LONG.search(path.read_text("utf-8"))] == []


def test_these_are_unit_tests(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("unit") is not None
