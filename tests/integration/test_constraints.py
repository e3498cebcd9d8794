"""The versions that CI installs are ones that pyproject.toml allows, and none is left open."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info < (3, 11):
    pytest.skip("the constraints are those of Python 3.11", allow_module_level=True)

import tomllib

ROOT = Path(__file__).parents[2]
PROJECTS = sorted([ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")])


def pins() -> dict[str, Version]:
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_the_constraints_of_ci_fit_every_project_and_leave_nothing_open() -> None:
    pinned = pins()
    assert len(PROJECTS) > 10
    for file in PROJECTS:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {}) if file.parent == ROOT else {}
        wanted = [*project.get("dependencies", ()), *extras.get("dev", ()), *extras.get("studio", ())]
        for requirement in map(Requirement, wanted):
            if requirement.marker is not None and not requirement.marker.evaluate({"python_version": "3.11"}):
                continue
            name = canonicalize_name(requirement.name)
            if name.startswith("facekit"):  # of this checkout
                continue
            assert name in pinned, f"{file.parent.name} needs {requirement}, which .ci/constraints.txt does not pin"
            assert requirement.specifier.contains(pinned[name], prereleases=True), (file.parent.name, str(requirement))


def test_ci_installs_them() -> None:
    assert "PIP_CONSTRAINT" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
