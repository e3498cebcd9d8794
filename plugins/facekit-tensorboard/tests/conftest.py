"""Runs that are watched, and reading their logs back with TensorBoard's own reader."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    IMAGES,
    SCALARS,
    TENSORS,
    EventAccumulator,
)

FACEKIT = Path(sys.executable).with_name("facekit")

TINY = """\
facekit: 1
name: tiny
data: {use: synthetic_faces, size: 32, train: 8, validation: 2, test: 3}
model:
  style_encoder: {use: sft_style}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1}
  discriminator: {use: multiscale_patch, filters: 4}
losses:
  generator: [{use: adversarial, objective: lsgan}, {use: l1, weight: 10}]
  discriminator: [{use: adversarial, objective: lsgan}]
metrics: [{use: psnr}]
train: {steps: 6, batch: 2, precision: fp32, device: cpu, samples: 2,
        log_every: 1, checkpoint_every: 3, sample_every: 3, evaluate_every: 3}
"""


@dataclass(frozen=True)
class Log:
    """A log, read back."""

    reader: EventAccumulator

    def curve(self, tag: str) -> list[tuple[int, float]]:
        return [(entry.step, entry.value) for entry in self.reader.Scalars(tag)]

    def steps(self, tag: str) -> list[int]:
        return [entry.step for entry in self.reader.Scalars(tag)]

    def texts(self, tag: str) -> list[tuple[int, str]]:
        return [(entry.step, entry.tensor_proto.string_val[0].decode()) for entry in self.reader.Tensors(tag)]

    def pictures(self, tag: str) -> list[tuple[int, int, int]]:
        return [(entry.step, entry.width, entry.height) for entry in self.reader.Images(tag)]

    @property
    def curves(self) -> set[str]:
        return set(self.reader.Tags()[SCALARS])


@pytest.fixture
def read_log() -> Callable[[Path], Log]:
    """Read a folder of event files with everything in it."""

    def read(folder: Path) -> Log:
        reader = EventAccumulator(str(folder), size_guidance={SCALARS: 0, IMAGES: 0, TENSORS: 0})
        reader.Reload()
        return Log(reader)

    return read


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny recipe."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return folder


Facekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(workplace: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
    return {**kept, "FACEKIT_CACHE": str(workplace / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@pytest.fixture(scope="session")
def facekit(workplace: Path, environment: dict[str, str]) -> Facekit:
    """Run ``facekit`` in a process of its own, where the log is on."""

    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(FACEKIT), *map(str, arguments)],
            cwd=workplace,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def first_run(facekit: Facekit, workplace: Path) -> Path:
    """A finished run, measured on the test split."""
    done = facekit("run", "tiny.yaml", "--out", "runs/first")
    assert done.returncode == 0, done.stderr
    return workplace / "runs" / "first"
