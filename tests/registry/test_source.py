"""Where factories are written: found in files whose code must not run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from facekit.registry import load_registry
from facekit.registry.source import SourceLocation, SourceNotFound, find_source

Install = Any

TRAP = "raise RuntimeError('this module was run')\n"
"""Any file that begins with it proves that it was only read."""

Package = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Write the files of a package whose every module raises when it runs, and put it on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "trapped_package" / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(TRAP + text, encoding="utf-8")
        return tmp_path / "trapped_package"

    return write


def test_a_function_in_a_submodule(package: Package) -> None:
    folder = package(__init__="import torch\n", networks="\n\ndef other(): ...\n\ndef build(options, context): ...\n")
    assert find_source("trapped_package.networks:build") == SourceLocation(folder / "networks.py", 6)
    assert "trapped_package" not in sys.modules


def test_a_function_in_the_package_itself(package: Package) -> None:
    folder = package(__init__="class build: ...\n")
    assert find_source("trapped_package:build") == SourceLocation(folder / "__init__.py", 2)


def test_a_package_inside_a_package(package: Package) -> None:
    folder = package(__init__="", inner__in____init__="", inner__in__deep="async def build(o, c): ...\n")
    assert find_source("trapped_package.inner.deep:build") == SourceLocation(folder / "inner" / "deep.py", 2)


def test_packages_without_init_files(package: Package) -> None:
    folder = package(inner__in__deep="def build(o, c): ...\n")
    assert find_source("trapped_package.inner.deep:build") == SourceLocation(folder / "inner" / "deep.py", 2)


def test_the_last_definition_counts_as_it_does_when_it_runs(package: Package) -> None:
    package(
        __init__="",
        twice="def build(): ...\ndef build(o, c): ...\n",
        assigned="def make(k): ...\nbuild = make(3)\nbuild: object\n",
        annotated="build: object = 1\n",
        pair="build, other = 1, 2\n",
        guarded="if True:\n    def build(o, c): ...\nelse:\n    x = 1\n",
        tried="try:\n    import x\nexcept ImportError:\n    def build(o, c): ...\n",
        within="with open('x') as f:\n    build = f\n",
        inside="def outer():\n    def build(): ...\nclass K:\n    def build(self): ...\ndef build(o, c): ...\n",
    )
    lines = {"twice": 3, "assigned": 3, "annotated": 2, "pair": 2, "guarded": 3, "tried": 5, "within": 3, "inside": 6}
    for module, line in lines.items():
        assert find_source(f"trapped_package.{module}:build").line == line, module


@pytest.mark.parametrize(
    "imported",
    [
        "from trapped_package.real import build\n",
        "from .real import build\n",
        "from .real import make as build\n",
        "from .real import *\n",
        "from .middle import build\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .wrong import build\nfrom .real import build\n",
        "try:\n    from .missing import build\nexcept ImportError:\n    from .real import build\n",
    ],
)
def test_a_name_that_another_module_hands_on(package: Package, imported: str) -> None:
    folder = package(
        __init__="",
        real="\n\ndef build(o, c): ...\nmake = build\n",
        middle="from . import real\nfrom .real import build\n",
        wrong="def build(): ...\n",
        here=imported,
    )
    found = find_source("trapped_package.here:build")
    assert found.file == folder / "real.py"
    assert found.line == (5 if "make" in imported else 4)


def test_a_star_import_among_others(package: Package) -> None:
    folder = package(
        __init__="", one="x = 1\n", two="def build(o, c): ...\n", here="from .one import *\nfrom .two import *\n"
    )
    assert find_source("trapped_package.here:build") == SourceLocation(folder / "two.py", 2)


def test_a_module_that_makes_its_names_when_it_runs(package: Package) -> None:
    folder = package(__init__="def __getattr__(name): ...\n")
    assert find_source("trapped_package:build") == SourceLocation(folder / "__init__.py", None)


def test_a_compiled_module(package: Package) -> None:
    folder = package(__init__="")
    compiled = folder / f"fast{EXTENSION_SUFFIXES[0]}"
    compiled.write_bytes(b"\x7fELF")
    assert find_source("trapped_package.fast:build") == SourceLocation(compiled, None)


def test_a_plugin_file_and_a_module_that_is_loaded(tmp_path: Path, install: Install) -> None:
    file = tmp_path / "loaded_plugin_file.py"
    file.write_text(f"def build(options, context):\n    pass\n{install.hook}", encoding="utf-8")
    load_registry(file)
    assert find_source("loaded_plugin_file:build") == SourceLocation(file, 1)
    assert find_source("facekit.registry.source:find_source").file.name == "source.py"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_package_at_all:build", "there is no module 'no_such_package_at_all'"),
        ("trapped_package.nowhere:build", "there is no module 'trapped_package.nowhere'"),
        ("trapped_package.nowhere.deep:build", "there is no module 'trapped_package.nowhere'"),
        ("trapped_package.real.deep:build", "'trapped_package.real' is a module, not a package"),
        ("trapped_package.real:biuld", "real.py has no 'biuld'"),
        ("trapped_package.broken:build", "cannot be read as Python"),
        ("trapped_package.binary:build", "cannot be read"),
        ("trapped_package.circle:build", "in a circle"),
        ("trapped_package.lost:build", "there is no module 'trapped_package.gone'"),
        ("sys:exit", "is not a file"),
    ],
)
def test_what_cannot_be_found_says_why(package: Package, target: str, message: str) -> None:
    folder = package(
        __init__="",
        real="def build(o, c): ...\n",
        broken="def build(:\n",
        circle="from .circle import build\n",
        lost="from .gone import build\n",
    )
    (folder / "binary.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(SourceNotFound, match=message):
        find_source(target)


def test_every_installed_factory_is_found() -> None:
    components = load_registry().components.values()
    assert len(components) > 20
    for entry in components:
        found = find_source(entry.spec.factory)
        assert found.line is not None, entry.spec.id
        name = entry.spec.factory.split(":")[1]
        line = found.file.read_text("utf-8").splitlines()[found.line - 1]
        assert f"def {name}(" in line or f"class {name}(" in line
