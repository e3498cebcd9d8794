"""Twenty runs killed at random moments and resumed end with the weights of the run that was never killed.

Every run is a process of its own, ended by SIGKILL. Half of the kills come after a random time, half while a checkpoint
is being written: the moment its temporary folder appears, and a random moment later.
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

from facekit.engine import RunFolder, checkpoints
from facekit.engine.run_folder import step_name

DRIVER = Path(__file__).with_name("drive.py")
STEPS, RUNS = 60, 20
OVERRIDES = {
    "  steps: 8\n": f"  steps: {STEPS}\n",
    "  precision: fp32\n": "  precision: bf16\n  replay_pool: 8\n  discriminator_turns: 2\n",
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


def wait_until_writing(process: subprocess.Popen[bytes], run: Path, after: int) -> bool:
    """Wait until a checkpoint beyond the step ``after`` is being written; False when the process ends before."""
    folder = RunFolder(run).checkpoints
    while process.poll() is None:
        newest = max(checkpoints.steps_on_disk(folder), default=0)
        if newest >= after and folder.is_dir() and any(e.name.startswith(".writing") for e in os.scandir(folder)):
            return True
    return False


def digest(run: Path) -> str:
    folder = RunFolder(run).checkpoints / step_name(STEPS)
    assert checkpoints.check(folder) is None
    joined = hashlib.sha256()
    for name in (checkpoints.LIVE, checkpoints.EMA, checkpoints.OPTIMISER, checkpoints.REPLAY):
        joined.update((folder / name).read_bytes())
    return joined.hexdigest()


@pytest.mark.slow
def test_killed_runs_end_as_the_run_that_was_never_killed(tmp_path: Path, recipe_file: Path) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    for old, new in OVERRIDES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    recipe_file.write_text(text, encoding="utf-8")
    started = time.monotonic()
    finish(recipe_file, tmp_path / "never_killed")
    whole_run = time.monotonic() - started
    expected = digest(tmp_path / "never_killed")

    chances = random.Random(20)
    resumed = half_written = 0
    steps: list[int] = []
    for index in range(RUNS):
        run = tmp_path / f"killed{index}"
        process = start(recipe_file, run)
        if index % 2:
            assert wait_until_writing(process, run, after=chances.randrange(STEPS // 2))
            time.sleep(chances.random() * 0.02)
        else:
            time.sleep(whole_run * chances.uniform(0.3, 0.95))
        assert process.poll() is None
        kill_group(process)
        if RunFolder(run).checkpoints.is_dir():
            half_written += any(e.name.startswith(".writing") for e in os.scandir(RunFolder(run).checkpoints))
        steps.append(max(checkpoints.steps_on_disk(RunFolder(run).checkpoints), default=0))
        finish(recipe_file, run)
        resumed += digest(run) == expected
    print(f"{resumed} of {RUNS} identical; {half_written} left a half written checkpoint; newest checkpoints {steps}")
    assert resumed == RUNS
    assert half_written >= RUNS // 5
