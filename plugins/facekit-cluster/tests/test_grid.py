"""A grid as a user runs it, on a Ray cluster of two nodes of which one dies, and by submitit on this machine."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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
train: {steps: 6, batch: 2, precision: fp32, device: cpu, samples: 2,
        log_every: 1, checkpoint_every: 1, sample_every: 100, evaluate_every: null}
"""

GRID = """\
ablation: 1
base: tiny.yaml
steps: STEPS
seeds: SEEDS
keep: none
metrics: [{use: psnr}]
rows: {tiny: {}}
"""


@pytest.fixture
def ablate(tmp_path):
    """Start ``facekit ablate`` for a grid of some seeds."""

    def start(*arguments, seeds, steps=6):
        grid = GRID.replace("STEPS", str(steps)).replace("SEEDS", json.dumps(list(range(seeds))))
        (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
        (tmp_path / "grid.yaml").write_text(grid, encoding="utf-8")
        environment = {"FACEKIT_CACHE": str(tmp_path / "cache"), "FACEKIT_TENSORBOARD": "off", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [str(FACEKIT), "ablate", "grid.yaml", "--out", "out", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def check(folder, runs):
    """Check that all runs were measured, and that their checkpoints are gone."""
    with (folder / "table.csv").open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["row"], row["measurement"], row["seeds"]) == ("tiny", "psnr", str(runs))
    found = list((folder / "runs").iterdir())
    assert len(found) == runs
    assert all((run / "report.html").is_file() for run in found)
    assert not [run for run in found if (run / "checkpoints").exists()]


def test_six_cells_end_with_six_results_though_a_node_dies(ablate, wait, tmp_path):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        node = cluster.add_node(num_cpus=2)
        sweep = ablate("--executor", "ray", "--set", f"executor.address={cluster.address}", seeds=6, steps=12)
        wait(lambda: len(list(tmp_path.glob("out/runs/*/checkpoints/step-*"))) >= 3 or sweep.poll(), seconds=500)
        assert sweep.poll() is None
        cluster.remove_node(node, allow_graceful=False)
        _, error = sweep.communicate(timeout=900)
        assert sweep.returncode == 0, error
        assert "6 of 6 done" in error
        check(tmp_path / "out", 6)
        lines = [path.read_text("utf-8") for path in tmp_path.glob("out/runs/*/metrics.jsonl")]
        assert any('"resumed"' in text or text.count('"started"') > 1 for text in lines), "some of them went on"
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_jobs_of_submitit(ablate, tmp_path):
    pytest.importorskip("submitit", reason="needs submitit: pip install submitit")
    options = [part for each in ("cluster=local", "gpus=0", "threads=1") for part in ("--set", f"executor.{each}")]
    sweep = ablate("--executor", "slurm", *options, seeds=2)
    _, error = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, error
    check(tmp_path / "out", 2)
    again = ablate("--executor", "slurm", *options, seeds=2)
    _, error = again.communicate(timeout=600)
    assert again.returncode == 0
    assert "left to do" not in error, "what is done is not done again"
