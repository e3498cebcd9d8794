"""Runs of several processes that lose one of them, and start again."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.conftest import Facekit
from tests.integration.test_docs import DOCS, _blocks

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
  generator: [{use: adversarial, objective: lsgan}, {use: feature_matching}, {use: region_colour, weight: 10}]
  discriminator: [{use: adversarial, objective: lsgan}]
train: {steps: 40, batch: 2, precision: fp32, device: cpu, samples: 2, log_every: 1, checkpoint_every: 5}
"""


TORCHRUN = str(Path(sys.executable).with_name("torchrun"))


@pytest.fixture(scope="module")
def undisturbed(workplace: Path, environment: dict[str, str]) -> str:
    """The digest of a run of two processes that nothing happens to."""
    (workplace / "together.yaml").write_text(RECIPE, encoding="utf-8")
    command = [TORCHRUN, "--standalone", "--nproc-per-node", "2", "-m", "facekit", "run", "together.yaml"]
    done = subprocess.run(
        [*command, "--out", "runs/undisturbed"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return digest(workplace / "runs" / "undisturbed")


def wait_for(folder: Path, process: subprocess.Popen[str]) -> None:
    while not folder.is_dir():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def rank_one(parent: int) -> int | None:
    """Return the process of rank 1 among the children of torchrun."""
    for folder in Path("/proc").iterdir():
        try:
            child = folder.name.isdigit() and f"PPid:\t{parent}\n" in (folder / "status").read_text()
            if child and b"\0RANK=1\0" in b"\0" + (folder / "environ").read_bytes():
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
def test_torchrun_restarts_a_run_that_lost_a_process(
    workplace: Path, environment: dict[str, str], undisturbed: str
) -> None:
    first, second = next(block for block in _blocks(DOCS / "clusters.md", "sh")).replace("\\\n", "").splitlines()
    assert first == "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
    for old, new in (
        ("sft_pix2pixhd", "together.yaml"),
        ("runs/four", "runs/killed"),
        ("--nproc-per-node 4", "--nproc-per-node 2"),
        ("train.checkpoint_every=10 min", "train.steps=40"),
    ):
        assert second.count(old) == 1
        second = second.replace(old, new)
    run = workplace / "runs" / "killed"
    process = subprocess.Popen(
        [TORCHRUN, *shlex.split(second)[1:]],
        cwd=workplace,
        env={**environment, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(run / "checkpoints" / "step-00000010", process)
    victim = rank_one(process.pid)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "another process of this run ended or cannot be reached" in error, error
    assert "runs/killed, which holds a run: it goes on" in error, error
    assert "Traceback" not in error, error
    assert digest(run) == undisturbed


SRUN = """\
#!{python}
# Stands for srun: starts the tasks of a step with the variables that SLURM gives them, and passes signals on.
import os, signal, subprocess, sys

tasks = [
    subprocess.Popen(
        sys.argv[1:],
        env={{
            **os.environ,
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
        }},
    )
    for rank in range(2)
]
signal.signal(signal.SIGTERM, lambda number, frame: [task.send_signal(number) for task in tasks])
open("srun.pid", "w").write(str(os.getpid()))
sys.exit(max(task.wait() for task in tasks))
"""


@pytest.mark.slow
def test_the_script_for_slurm_queues_its_job_again_and_ends_as_torchrun_does(
    workplace: Path, environment: dict[str, str], undisturbed: str
) -> None:
    script = next(block for block in _blocks(DOCS / "clusters.md", "bash") if "#SBATCH" in block)
    assert script.count("sft_pix2pixhd") == script.count('"train.checkpoint_every=10 min"') == 1
    script = script.replace("sft_pix2pixhd", "together.yaml").replace("train.checkpoint_every=10 min", "train.steps=40")
    programs = workplace / "programs"
    programs.mkdir()
    for name, text in (
        ("srun", SRUN.format(python=sys.executable)),
        ("scontrol", '#!/bin/sh\necho "$@" >> scontrol.txt\n'),
        ("job.sh", script),
    ):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), environment["PATH"]])
    job = {**environment, "PATH": path, "SLURM_JOB_ID": str(4000 + os.getpid() % 10_000), "SLURM_NTASKS": "2"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(programs / "job.sh")],
            cwd=workplace,
            env=job,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    process = start()
    wait_for(workplace / "runs" / "cluster" / "checkpoints" / "step-00000005", process)
    os.kill(int((workplace / "srun.pid").read_text()), signal.SIGTERM)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "stopped at step " in error
    assert (workplace / "scontrol.txt").read_text() == f"requeue {job['SLURM_JOB_ID']}\n"

    process = start()
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "runs/cluster, which holds a run: it goes on" in error
    assert digest(workplace / "runs" / "cluster") == undisturbed


@pytest.mark.slow
def test_a_cache_that_is_copied_as_written_is_not_read_as_a_whole(
    workplace: Path, environment: dict[str, str], facekit: Facekit
) -> None:
    script = next(block for block in _blocks(DOCS / "clusters.md", "bash") if "cp -a" in block)
    (workplace / "together.yaml").write_text(RECIPE, encoding="utf-8")
    prepare, copy, export = script.strip().splitlines()
    copied = workplace / "own disk"
    prepared = facekit(*shlex.split(prepare.replace("sft_pix2pixhd", "together.yaml"))[1:])
    assert prepared.code == 0, prepared.err
    command = copy.replace("srun --ntasks-per-node=1 ", "").replace("/tmp/facekit-cache", shlex.quote(str(copied)))
    subprocess.run(command, shell=True, check=True, cwd=workplace)
    (verified,) = copied.rglob("verified.json")
    before = verified.stat().st_mtime_ns
    assert export == "export FACEKIT_CACHE=/tmp/facekit-cache"
    arguments = ("--set", "train.steps=1", "--set", "metrics=[]", "--out", "runs/own-disk")
    done = facekit("run", "together.yaml", *arguments, FACEKIT_CACHE=str(copied))
    assert done.code == 0, done.err
    assert verified.stat().st_mtime_ns == before  # it is written anew after all is compared
    assert len([*copied.rglob("verified.json")]) == 1  # and nothing was packed again
