"""Runs of several processes that lose one of them, and start again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STEPS = 40
RECIPE = """\
facekit: 1
name: together
data: {use: synthetic_faces, size: 32, train: 10, validation: 3, test: 3}
model:
  style_encoder: {use: sft_style}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1}
  discriminator: {use: multiscale_patch, filters: 4}
losses:
  generator: [{use: adversarial, objective: lsgan}, {use: feature_matching, weight: 10}, {use: region_colour, weight: 10}]
  discriminator: [{use: adversarial, objective: lsgan}]
train: {steps: 40, batch: 2, precision: fp32, device: cpu, samples: 2, log_every: 1, checkpoint_every: 5, sample_every: 40}
"""


def torchrun(*options: str) -> list[str]:
    return [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node", "2", *options]


def rank_one(parent: int) -> int | None:
    """Return the process of rank 1 among the children of torchrun."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"PPid:\t{parent}\n" in (folder / "status").read_text():
                if b"\0RANK=1\0" in b"\0" + (folder / "environ").read_bytes():
                    return int(folder.name)
        except OSError:
            continue
    return None


def digest(run: Path) -> str:
    folder = run / "checkpoints" / f"step-{STEPS:08d}"
    names = ("live", "ema", "optimiser")
    return hashlib.sha256(b"".join((folder / f"{name}.safetensors").read_bytes() for name in names)).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the process of a rank by /proc")
def test_torchrun_restarts_a_run_that_lost_a_process(workplace: Path, environment: dict[str, str]) -> None:
    (workplace / "together.yaml").write_text(RECIPE, encoding="utf-8")
    # Without it a torchrun that is the only machine's own meeting point keeps what the processes agreed on before.
    environment = {**environment, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    facekit = ["-m", "facekit", "run", "together.yaml", "--out"]
    undisturbed = subprocess.run(
        [*torchrun(), *facekit, "runs/undisturbed"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert undisturbed.returncode == 0, undisturbed.stderr

    run = workplace / "runs" / "killed"
    process = subprocess.Popen(
        [*torchrun("--max-restarts", "1"), *facekit, "runs/killed"],
        cwd=workplace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (run / "checkpoints" / "step-00000010").is_dir():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    victim = rank_one(process.pid)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "another process of this run ended or cannot be reached" in error
    assert "runs/killed, which holds a run: it goes on" in error
    assert "Traceback" not in error
    assert digest(run) == digest(workplace / "runs" / "undisturbed")
