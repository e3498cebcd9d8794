"""The import rules cover everything that is there: a plugin that is added is not forgotten by them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return settings


LAYERS, GAN, BACKBONES = "facekit_layers", "facekit_gan", "facekit_backbones"
LIBRARIES = {LAYERS, GAN, BACKBONES}
"""What stands beside the plugins, for them to import; all but the first are written with the public interfaces."""

APPLICATION = "facekit_studio"
"""A plugin that uses runs as people do, and so more rooms of the house than other plugins."""


def packages_of_plugins() -> set[str]:
    return {path.parent.name for path in ROOT.glob("plugins/*/src/*/__init__.py")} - LIBRARIES


def test_every_plugin_is_under_the_rules(rules: dict[str, Any]) -> None:
    plugins = packages_of_plugins()
    assert len(plugins) >= 5
    assert set(rules["root_packages"]) == {"facekit", *plugins, *LIBRARIES}
    contracts = {contract["name"]: contract for contract in rules["contracts"]}
    assert set(contracts["Plugins use only the public hooks"]["source_modules"]) == {*plugins, GAN, BACKBONES} - {
        APPLICATION
    }
    assert set(contracts["Plugins do not know each other"]["modules"]) == plugins
    assert set(contracts["The core knows no plugin"]["forbidden_modules"]) == plugins | LIBRARIES
    layers = contracts["The layers that plugins are built of know nothing of facekit"]
    assert set(layers["source_modules"]) == {LAYERS}
    assert set(layers["forbidden_modules"]) == {"facekit", *plugins, GAN, BACKBONES}
    assert set(contracts["Libraries do not know each other"]["modules"]) == LIBRARIES
    written = contracts["Libraries that are written with the interfaces know them alone"]
    assert set(written["source_modules"]) == {GAN, BACKBONES}
    assert set(written["forbidden_modules"]) == {"facekit.registry", LAYERS, *plugins}


def test_every_room_has_a_floor_or_stands_beside_the_house(rules: dict[str, Any]) -> None:
    rooms = {f"facekit.{path.parent.name}" for path in ROOT.glob("src/facekit/*/__init__.py")}
    layers = next(contract["layers"] for contract in rules["contracts"] if contract["type"] == "layers")
    on_a_floor = {name.strip() for layer in layers for name in layer.split("|")}
    assert rooms - on_a_floor == {"facekit.testing"}
    hidden = next(c for c in rules["contracts"] if c["name"] == "Plugins use only the public hooks")
    assert set(hidden["forbidden_modules"]) == rooms - {"facekit.interfaces", "facekit.faces", "facekit.registry"}


def test_a_plugin_that_reaches_into_the_core_is_caught(tmp_path: Path) -> None:
    """The rule is proved on a plugin that breaks it, with the project's own contract."""
    package = tmp_path / "reaching_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("from facekit.training import loop\n")
    (tmp_path / "rules.toml").write_text(
        "[tool.importlinter]\n"
        'root_packages = ["facekit", "reaching_plugin"]\n'
        "[[tool.importlinter.contracts]]\n"
        'name = "Plugins use only the public hooks"\n'
        'type = "forbidden"\n'
        'source_modules = ["reaching_plugin"]\n'
        'forbidden_modules = ["facekit.training"]\n'
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from importlinter.cli import lint_imports;"
        "sys.exit(lint_imports(config_filename=sys.argv[2], no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "rules.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "reaching_plugin -> facekit.training.loop" in done.stdout
