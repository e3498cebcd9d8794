"""Tasks as small scripts: what they do is seen in the files they write."""

from __future__ import annotations

import os
import sys
import time

import pytest

from facekit.interfaces import ExecutorTask

# Ray's workers have the lowest priority by default; on a busy machine the tests would wait for all else.
os.environ.setdefault("RAY_worker_niceness", "0")

SAVES_WHEN_ASKED = """
import pathlib, signal, sys, threading, os, time
def alone():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
def stop(*_):
    pathlib.Path(FOLDER, NAME + ".saved").write_text(str(step))
    sys.exit(130)
saved = pathlib.Path(FOLDER, NAME + ".saved")
step = int(saved.read_text()) if saved.exists() else 0
signal.signal(signal.SIGTERM, stop)
threading.Thread(target=alone, daemon=True).start()
pathlib.Path(FOLDER, NAME + ".parent").write_text(str(os.getppid()))
pathlib.Path(FOLDER, NAME + ".pid").write_text(str(os.getpid()))
print("began at", step, flush=True)
while step < STEPS:
    time.sleep(0.05)
    step += 1
pathlib.Path(FOLDER, NAME + ".done").write_text(str(step))
"""


@pytest.fixture
def script(tmp_path):
    """Make a task that counts steps, saves how far it is when it is asked to stop, and goes on from there."""

    def make(name="a task", steps=3, code=SAVES_WHEN_ASKED):
        values = f"FOLDER, NAME, STEPS = {str(tmp_path)!r}, {name!r}, {steps}\n"
        return ExecutorTask(name, (sys.executable, "-c", values + code), tmp_path / "logs" / f"{name}.log")

    return make


@pytest.fixture
def wait():
    """Wait for something, two minutes at the most."""

    def until(happened, *, seconds=120):
        deadline = time.monotonic() + seconds
        while (value := happened()) is None or value is False:
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)
        return value

    return until
