"""The lowest versions that may be installed lie past the advisories that SECURITY.md names, and none are too high."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]

SAFE = {
    "torch": ("2.10", "2.10"),
    "pillow": ("13.0", "12.3"),
    "starlette": ("1.3.1", "1.3.1"),
    "h11": ("0.16", "0.16"),
}
"""The first safe version of each, for Python 3.11 and newer, and the last there is for Python 3.10."""


def requirements(file: Path) -> list[Requirement]:
    """The requirements of a project: what stands in quotes and begins with one of the names."""
    found = re.findall(rf'"((?:{"|".join(SAFE)})(?![\w-])[^"]*)"', file.read_text(encoding="utf-8"), re.IGNORECASE)
    return [Requirement(each) for each in found]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.14"])
def test_lowest_versions_are_past_known_advisories(python: str) -> None:
    seen = set()
    for file in PROJECTS:
        for requirement in requirements(file):
            if requirement.marker is not None and not requirement.marker.evaluate({"python_version": python}):
                continue
            name = requirement.name.lower()
            seen.add(name)
            (lowest,) = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
            assert lowest >= Version(SAFE[name][python == "3.10"]), f"{file}: {requirement}"
    assert seen == SAFE.keys()


def test_only_our_own_distributions_have_upper_bounds() -> None:
    """A bound that nothing needs keeps facekit from being installed beside what somebody else needs."""
    bounded = set()
    for file in PROJECTS:
        for text in re.findall(r'"(\w[\w-]+(?:\[[\w,]+\])?[<>=~!][^"]*)"', file.read_text(encoding="utf-8")):
            requirement = Requirement(text)
            if any(each.operator in ("<", "<=", "~=", "!=") for each in requirement.specifier):
                bounded.add(requirement.name)
    assert bounded
    assert {name for name in bounded if not name.startswith("facekit-")} == set()
