"""Runs that are killed with SIGKILL and resumed: the weights must be those of the run that was never killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.robustness.bit_rot import RECIPE, tiny_run
from benchmarks.robustness.counting import Count

STEPS = 16
_PATIENCE = 1200.0
"""Seconds that a run may take on a machine that does other work."""


def kills(*, count: int, seed: int) -> Count:
    """Kill runs of the command line, each once: half at any moment of their life, half while a checkpoint is written.

    Runs are forked from a process that has imported everything, so that a start costs nothing.
    """
    import torch

    from facekit.cli import main as program
    from facekit.training.checkpoint import checkpoints
    from facekit.training.run.folder import RunFolder

    torch.set_num_threads(1)
    tiny_run()  # which imports all that a run imports
    found, chance = Count("runs killed and resumed"), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        recipe = scratch / "tiny.yaml"
        recipe.write_text(
            RECIPE.replace("steps: 6", f"steps: {STEPS}")
            .replace("checkpoint_every: 3", "checkpoint_every: 1")
            .replace("metrics: [{use: psnr}]\n", ""),  # only the weights are compared
            encoding="utf-8",
        )

        def start(run: Path) -> int:
            resumes = RunFolder(run).holds_a_run
            arguments = ["resume", str(run)] if resumes else ["run", str(recipe), "--out", str(run)]
            process = os.fork()
            if process:
                return process
            os.setsid()
            sink = os.open(run.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            try:
                program.cli.main(arguments, prog_name="facekit")
            except SystemExit as end:
                os._exit(end.code if isinstance(end.code, int) else 1)
            os._exit(0)

        def finish(run: Path) -> str:
            code = _ended(start(run))
            if code:
                return f"exit {code}: {run.with_suffix('.txt').read_text()[-400:]}"
            last = checkpoints.newest(RunFolder(run).checkpoints)
            if last is None or last.step != STEPS:
                return "no last checkpoint"
            files = [last.folder / file for file in sorted(last.files) if file.endswith(".safetensors")]
            return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

        finish(scratch / "first")  # it packs the faces for all others
        began = time.monotonic()
        expected = finish(scratch / "whole")
        life = time.monotonic() - began
        halves = 0
        while found.tried < count:
            run = scratch / f"killed{found.tried}"
            aimed = found.tried % 2 == 1
            process = start(run)
            if aimed:
                _until_writing(RunFolder(run).checkpoints, process, step=chance.randrange(STEPS - 2))
                time.sleep(chance.random() * 0.01 * (found.tried % 4 == 3))
            else:
                time.sleep(chance.random() * life)
            try:
                os.killpg(process, signal.SIGKILL)
            except ProcessLookupError:
                _ended(process)  # it was done, or had not begun: no kill
                continue
            _ended(process)
            folder = RunFolder(run).checkpoints
            halves += folder.is_dir() and any(entry.name.startswith(".writing-") for entry in os.scandir(folder))
            got = finish(run)
            if got == expected:
                found.noticed += 1
            else:
                found.fell.append(f"kill {found.tried}: {got}")
        found.notes.append(f"{halves} left a half-written checkpoint; the rest went on bit for bit")
    return found


def _ended(process: int) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    print("a run did not end in time", file=sys.stderr)
    return -1


def _until_writing(folder: Path, process: int, *, step: int) -> None:
    """Wait until a run writes a checkpoint, after the one of a step."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        names = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
        last = max((int(name[5:]) for name in names if name.startswith("step-")), default=0)
        if (last >= step and any(name.startswith(".writing-") for name in names)) or last == STEPS:
            return
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
