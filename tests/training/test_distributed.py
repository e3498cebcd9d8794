"""Two processes that average their gradients train as one process with their batches together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from facekit.training.distributed import GradientAverage, Team
from facekit.training.run.event_log import read_lines

DRIVER = Path(__file__).with_name("drive.py")


def test_alone_nothing_is_sent() -> None:
    team = Team()
    weight = torch.nn.Parameter(torch.ones(2))
    with GradientAverage(team)([weight]):
        weight.sum().backward()
    team.share([weight])
    team.wait()
    assert team.leads
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones(2))
    assert team.any(True, False) == [True, False]
    assert team.mean({"a": 2.0}) == {"a": 2.0}
    assert torch.equal(team.average(torch.ones(2)), torch.ones(2))


def test_gradients_are_averaged_while_they_arrive() -> None:
    run_two(Path(__file__).with_name("average_gradients.py"))


def run_two(driver: Path, *arguments: str | Path, **variables: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(2):
        environment = {
            **os.environ,
            **variables,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        command = [sys.executable, str(driver), *map(str, arguments)]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    for process in processes:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        assert "finished" in output


@pytest.mark.slow
def test_two_processes_train_as_one_and_resume(tmp_path: Path, recipe_file: Path) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    # No penalty: each process draws its own random numbers. The batch norm sees other batches, so the mean of its
    # statistics is not that of the whole batch; a frozen one in evaluation is not what is tested here.
    text = text.replace("    - {use: tiny/penalty, weight: 0.1}\n", "")
    # A weighted mean, too: the weights of one half of the batch are not those of the other.
    text = text.replace("weight: 5}\n", "weight: 5}\n    - {use: tiny/weighted}\n")
    text = text.replace("tiny/painter}", "tiny/painter, norm: false}").replace("mirror: true", "mirror: false")
    one = tmp_path / "one.yaml"
    one.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, str(DRIVER), str(one), str(tmp_path / "one")], check=True, capture_output=True)
    two = tmp_path / "two.yaml"
    two.write_text(text.replace("  batch: 4\n", "  batch: 2\n"), encoding="utf-8")
    run_two(DRIVER, two, tmp_path / "two", TINY_PLUGIN_DIARY=str(tmp_path / "diary"))
    told = (tmp_path / "diary").read_text(encoding="utf-8").splitlines()
    assert told[0] == "0 RunStarted"
    assert told[-1] == "0 RunFinished"
    assert {line.split()[0] for line in told} == {"0"}  # only the first process tells
    left, right = (load_file(tmp_path / name / "checkpoints/step-00000008/live.safetensors") for name in ("one", "two"))
    assert left.keys() == right.keys()
    start = {key: tensor for key, tensor in left.items() if tensor.is_floating_point()}
    for key, tensor in start.items():
        torch.testing.assert_close(tensor, right[key], atol=2e-5, rtol=1e-3, msg=key)
    losses = [
        {
            line["step"]: line["losses"]
            for line in read_lines(tmp_path / name / "metrics.jsonl")
            if line["event"] == "train"
        }
        for name in ("one", "two")
    ]
    for step, values in losses[0].items():
        assert losses[1][step] == pytest.approx(values, rel=1e-3)
    # The newest checkpoint is taken away: both go on from the one before, to the same weights.
    newest = tmp_path / "two" / "checkpoints" / "step-00000008"
    newest.rename(tmp_path / "first_time")
    run_two(DRIVER, two, tmp_path / "two", "--resume")
    again = load_file(newest / "live.safetensors")
    first = load_file(tmp_path / "first_time" / "live.safetensors")
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.slow
def test_two_processes_adapt_an_augmentation_together_and_resume(tmp_path: Path, recipe_file: Path) -> None:
    text = recipe_file.read_text(encoding="utf-8").replace("  batch: 4\n", "  batch: 2\n")
    # Five steps an interval: the checkpoint of step 3 holds what both have seen since the last.
    text += "  augment: {use: ada, p: 0.5, interval: 5, speed: 100, threshold: 0}\n"
    recipe = tmp_path / "adaptive.yaml"
    recipe.write_text(text.replace("  log_every: 2\n", "  log_every: 1\n"), encoding="utf-8")
    run = tmp_path / "run"
    run_two(DRIVER, recipe, run)
    chances = [
        line["diagnostics"]["augmentation/p"] for line in read_lines(run / "metrics.jsonl") if line["event"] == "train"
    ]
    # Five steps of two photos in each of two processes.
    assert chances == [0.5] * 4 + [pytest.approx(0.5 - 20 / 100)] * 4
    for name in ("step-00000006", "step-00000008"):
        (run / "checkpoints" / name).rename(tmp_path / name)
    run_two(DRIVER, recipe, run, "--resume")
    for file in ("live", "augmentation"):
        first = load_file(tmp_path / "step-00000008" / f"{file}.safetensors")
        again = load_file(run / "checkpoints" / "step-00000008" / f"{file}.safetensors")
        assert all(torch.equal(first[key], again[key]) for key in first)
