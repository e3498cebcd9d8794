"""Driving the command line as a user would: real processes, a tiny recipe of drawn faces."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from facekit.cli.main import cli
from facekit.registry import Registry, forget_registries, load_registry

REPOSITORY = Path(__file__).parents[2]
FACEKIT = Path(sys.executable).with_name("facekit")

TINY = """\
# The main model, as small as it goes.
facekit: 1
name: tiny
description: A few steps of the main model on a few small drawn faces.
data: {use: synthetic_faces, size: 32, train: 10, validation: 3, test: 5}
model:
  style_encoder: {use: sft_style}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1}
  discriminator: {use: multiscale_patch, filters: 4}
losses:
  generator:
    - {use: adversarial, objective: lsgan}
    - {use: feature_matching, weight: 10}
    - {use: region_colour, weight: 10}
  discriminator:
    - {use: adversarial, objective: lsgan, weight: 0.5}
metrics:
  - {use: style_following}
  - {use: psnr}
train:
  steps: 6
  batch: 2
  precision: fp32
  device: cpu
  samples: 2
  log_every: 2
  checkpoint_every: 2
  sample_every: 3
  evaluate_every: 3
"""


@dataclass(frozen=True)
class Finished:
    """What a process left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Facekit = Callable[..., Finished]


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The components of all installed plugins."""
    return load_registry()


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny recipe, and a cache of its own."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def environment(workplace: Path) -> dict[str, str]:
    """The environment of a user with one thread, so that results do not depend on the machine's cores."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
    chosen = {"FACEKIT_CACHE": str(workplace / "cache"), "FACEKIT_TENSORBOARD": "off"}
    return {**kept, **chosen, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@pytest.fixture(scope="session")
def facekit(workplace: Path, environment: dict[str, str]) -> Facekit:
    """Run ``facekit`` in a process of its own."""

    def run(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Finished:
        done = subprocess.run(
            [str(FACEKIT), *map(str, arguments)],
            cwd=cwd or workplace,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def within(workplace: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Facekit:
    """Run ``facekit`` inside this process as ``facekit`` does in one of its own: folder, environment, plugins.

    Nearly all of a process's time goes to importing torch. What is about processes has one: signals, streams, deaths.
    """
    own = tmp_path_factory.getbasetemp()

    def run(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Finished:
        known = set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or workplace)
            patch.setattr(sys, "path", [*filter(None, more.get("PYTHONPATH", "").split(os.pathsep)), *sys.path])
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in {**environment, **more}.items():
                patch.setenv(name, value)
            forget_registries()
            result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="facekit")
            forget_registries()
        for name in set(sys.modules) - known:  # plugins that tests wrote
            if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(own):
                del sys.modules[name]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Finished(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def inside(workplace: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Facekit:
    """Run ``facekit`` inside this process, which need not import torch again; for what needs no process of its own."""
    monkeypatch.chdir(workplace)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str | Path) -> Finished:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="facekit")
        return Finished(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def first_run(facekit: Facekit, workplace: Path) -> tuple[Path, Finished]:
    """A finished run of the tiny recipe, and what the command printed."""
    finished = facekit("run", "tiny.yaml", "--out", "runs/first", "--json")
    assert finished.code == 0, finished.err
    return workplace / "runs" / "first", finished
