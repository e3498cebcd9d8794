"""Commands that must not import torch, run in processes where importing it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BLOCK = """
import sys

class Blocked:
    names = {names!r}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(name + " is not to be imported here")

sys.meta_path.insert(0, Blocked())
sys.argv = ["facekit", *{arguments!r}]
from facekit.cli.main import main
main()
"""


def _run(arguments: list[str], names: set[str], cwd: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    code = BLOCK.format(names=names, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


TORCH = {"torch", "torchvision"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["import", "--help"],
        ["studio", "--help"],
        ["edit", "--help"],
        ["evaluate-edits", "--help"],
        ["plugins", "ls"],
        ["components", "ls"],
        ["components", "ls", "loss", "--player", "generator", "--json"],
        ["components", "show", "sft_pix2pixhd"],
        ["components", "show", "dataset", "celebamask_hq", "--json"],
        ["recipes", "ls"],
        ["recipes", "show", "sft_pix2pixhd", "--origin"],
        ["recipes", "schema"],
        ["validate", "sft_pix2pixhd", "--ports-only"],
        ["ablate", "ablations/sft_components", "--dry-run"],
        ["compare", "--help"],
        ["data", "check", "synthetic_faces", "--set", "train=1", "--set", "validation=1", "--set", "test=1"],
    ],
    ids=" ".join,
)
def test_looking_around_needs_no_torch(arguments: list[str], workplace: Path, environment: dict[str, str]) -> None:
    code, out, err = _run(arguments, TORCH, workplace, environment)
    assert code == 0, err
    assert out
    assert "could not be loaded" not in err


def test_showing_every_component_needs_no_torch(workplace: Path, environment: dict[str, str]) -> None:
    code = """
import sys
from click.testing import CliRunner
from facekit.cli.main import cli
from facekit.registry import load_registry
for entry in load_registry().components.values():
    result = CliRunner().invoke(cli, ["components", "show", entry.spec.kind, entry.spec.id])
    assert result.exit_code == 0, result.output
    assert not {"torch", "torchvision"} & set(sys.modules), entry.spec.id
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_source_of_a_factory_is_found_although_the_package_around_it_imports_torch(
    workplace: Path, environment: dict[str, str]
) -> None:
    package = workplace / "heavy_package"
    package.mkdir()
    (package / "__init__.py").write_text("import torch\n", encoding="utf-8")
    (package / "parts.py").write_text("from torch import nn\n\n\ndef build(options, context): ...\n", encoding="utf-8")
    plugin = workplace / "light" / "light_plugin.py"  # in a folder that is not on the path
    plugin.parent.mkdir()
    plugin.write_text(
        """
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="heavy/metric",
            summary="Its package imports torch.",
            options=NoOptions,
            factory="heavy_package.parts:build",
        )
    ]
""",
        encoding="utf-8",
    )
    arguments = ["components", "show", "heavy/metric", "--plugin-file", str(plugin)]
    code, out, err = _run(arguments, TORCH, workplace, {**environment, "PYTHONPATH": str(workplace)})
    assert code == 0, err
    assert f"source   {Path('heavy_package', 'parts.py')}:4\n" in out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["recipes", "--help"]], ids=" ".join
)
def test_help_needs_neither_pydantic_nor_plugins_nor_rich(
    arguments: list[str], workplace: Path, environment: dict[str, str]
) -> None:
    code, out, err = _run(arguments, TORCH | {"pydantic", "pluggy", "rich", "numpy", "yaml"}, workplace, environment)
    assert code == 0, err
    assert "Usage:" in out or "facekit" in out


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_mistake_is_told_before_torch_is_imported(command: str, workplace: Path, environment: dict[str, str]) -> None:
    code, _, err = _run([command, "tiny.yaml", "--set", "train.bach=2"], TORCH, workplace, environment)
    assert code == 2, err
    assert "--set train.bach=2:1:7: train.bach: unknown key 'bach'; did you mean 'batch'?" in err
    assert "Traceback" not in err


def test_the_block_works(workplace: Path, environment: dict[str, str]) -> None:
    code, _, err = _run(["validate", "tiny.yaml"], TORCH, workplace, environment)
    assert code == 1
    assert "torch is not to be imported here" in err


def test_json_goes_to_stdout_alone(facekit: Callable[..., Any]) -> None:
    finished = facekit("components", "ls", "--json")
    assert json.loads(finished.out)
    assert finished.err == ""
