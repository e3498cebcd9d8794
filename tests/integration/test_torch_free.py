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
        ["plugins", "ls"],
        ["components", "ls"],
        ["components", "show", "sft_pix2pixhd"],
        ["recipes", "ls"],
        ["recipes", "show", "sft_pix2pixhd", "--origin"],
        ["recipes", "schema"],
        ["validate", "sft_pix2pixhd", "--ports-only"],
        ["data", "check", "synthetic_faces", "--set", "train=1", "--set", "validation=1", "--set", "test=1"],
    ],
    ids=" ".join,
)
def test_looking_around_needs_no_torch(arguments: list[str], workplace: Path, environment: dict[str, str]) -> None:
    code, out, err = _run(arguments, TORCH, workplace, environment)
    assert code == 0, err
    assert out
    assert "could not be loaded" not in err


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
