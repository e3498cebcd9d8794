"""Fixtures of the engine's tests: a registry with the tiny plugin, and recipes for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import PluginSet, Registry

RECIPE = """\
facekit: 1
name: tiny
data: {{use: tiny/faces, size: 16, cache: {cache}, workers: 1}}
model:
  style_encoder: {{use: tiny/encoder}}
  generator: {{use: tiny/painter}}
  discriminator: {{use: tiny/critic}}
losses:
  generator:
    - {{use: tiny/adversarial}}
    - {{use: tiny/feature_matching, weight: 10}}
    - {{use: tiny/l1, weight: 5}}
  discriminator:
    - {{use: tiny/adversarial}}
    - {{use: tiny/penalty, weight: 0.1}}
train:
  steps: 8
  batch: 4
  precision: fp32
  device: cpu
  log_every: 2
  checkpoint_every: 3
  sample_every: 4
  samples: 3
"""

ReadRecipe = Callable[..., ResolvedRecipe]


@pytest.fixture
def registry() -> Registry:
    """A registry with the tiny plugin only."""
    plugins = PluginSet({})
    plugins.load_file(Path(__file__).parent / "plugin" / "tiny_plugin.py")
    return Registry(plugins)


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """The recipe of the tiny plugin as a file."""
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE.format(cache=tmp_path / "cache"), encoding="utf-8")
    return file


@pytest.fixture
def read(registry: Registry, recipe_file: Path) -> ReadRecipe:
    """Reads the tiny recipe with overrides: ``read("train.steps=4")``."""
    return lambda *overrides: read_recipe(recipe_file, registry=registry, overrides=overrides)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and the machine may be busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
