"""Twenty runs killed at random moments and resumed end with the weights of the run that was never killed.

Every run is a process of its own, ended by SIGKILL. Half of the kills come a random time after a random step, half
while a checkpoint is being written: the moment its temporary folder appears, and, every other time, up to 10 ms later.
Writing one takes some 8 ms on a fast disk.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facekit.training.checkpoint import checkpoints
from facekit.training.run.folder import RunFolder, step_name

DRIVER = Path(__file__).with_name("drive.py")
STEPS, RUNS = 60, 20
OVERRIDES = {
    "  steps: 8\n": f"  steps: {STEPS}\n",
    "  precision: fp32\n": "  precision: bf16\n  turns: {discriminator: 2}\n",
    "  discriminator:\n    - {use: tiny/adversarial}\n": (
        "  discriminator:\n    - {use: tiny/adversarial, replay_pool: 8}\n"
    ),
    "  checkpoint_every: 3\n": "  checkpoint_every: 1\n",
    "  sample_every: 4\n": "  sample_every: 20\n",
    "tiny/encoder}": "tiny/encoder, width: 64}",
    "tiny/painter}": "tiny/painter, width: 256, dropout: 0.2}",
}


def start(recipe: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(DRIVER), str(recipe), str(run)]
    if RunFolder(run).holds_a_run:
        command.append("--resume")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def finish(recipe: Path, run: Path) -> None:
    process = start(recipe, run)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output.decode()


def wait(process: subprocess.Popen[bytes], run: Path, *, step: int, writing: bool) -> None:
    """Wait for the checkpoint of a step, and then, with ``writing``, until the next one is being written."""
    folder = RunFolder(run).checkpoints
    while process.poll() is None:
        reached = RunFolder(run).holds_a_run and max(checkpoints.steps_on_disk(folder), default=0) >= step
        if reached and (not writing or (folder.is_dir() and half_written(run))):
            return
        if not writing:
            time.sleep(0.002)
    raise AssertionError("the run ended before it could be killed")


def half_written(run: Path) -> bool:
    return any(entry.name.startswith(".writing") for entry in os.scandir(RunFolder(run).checkpoints))


def digest(run: Path) -> str:
    folder = RunFolder(run).checkpoints / step_name(STEPS)
    assert checkpoints.check(folder) is None
    joined = hashlib.sha256()
    for name in (checkpoints.LIVE, checkpoints.EMA, checkpoints.OPTIMISER, checkpoints.LOSSES):
        joined.update((folder / name).read_bytes())
    return joined.hexdigest()


@pytest.mark.slow
def test_killed_runs_end_as_the_run_that_was_never_killed(tmp_path: Path, recipe_file: Path) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    for old, new in OVERRIDES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    recipe_file.write_text(text, encoding="utf-8")
    finish(recipe_file, tmp_path / "never_killed")
    expected = digest(tmp_path / "never_killed")

    chances = random.Random(20)
    identical = halves = 0
    steps: list[int] = []
    for index in range(RUNS):
        run = tmp_path / f"killed{index}"
        process = start(recipe_file, run)
        wait(process, run, step=chances.randrange(STEPS // 2), writing=index % 2 == 1)
        time.sleep(chances.random() * (0.3, 0.0, 0.3, 0.01)[index % 4])
        assert process.poll() is None
        kill_group(process)
        if RunFolder(run).checkpoints.is_dir():
            halves += half_written(run)
        steps.append(max(checkpoints.steps_on_disk(RunFolder(run).checkpoints), default=0))
        finish(recipe_file, run)
        identical += digest(run) == expected
    print(f"{identical} of {RUNS} identical; {halves} left a half written checkpoint; killed after steps {steps}")
    assert identical == RUNS
    assert halves >= RUNS // 5
