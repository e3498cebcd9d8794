"""Real processes that are killed while they prepare."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from facekit.data.cache import prepare
from facekit.interfaces import DatasetContext
from facekit_datasets.synthetic_faces import SyntheticFacesOptions, create

COUNT, SIZE = 60, 48

SCRIPT = f"""
import multiprocessing, sys, time
from facekit.data import cache, parallel
from facekit.data.cache import prepare
from facekit.interfaces import DatasetContext
from facekit_datasets.synthetic_faces import SyntheticFacesOptions, create

def told(progress):
    if progress.stage == "pictures":
        children = [child.pid for child in multiprocessing.active_children()]
        print(progress.done, progress.resumed, *children, flush=True)
        if progress.done >= int(sys.argv[3]):
            time.sleep(60)  # the signal must not come too late

if __name__ == "__main__":
    cache._FLUSH_SECONDS = 0.02
    parallel._TRIAL_SECONDS = parallel._WORTH_SECONDS = parallel._CHUNK_SECONDS = 0.0
    dataset = create(SyntheticFacesOptions(train={COUNT}, validation=0, test=0), DatasetContext())
    prepare(dataset, size={SIZE}, cache=sys.argv[1], workers=int(sys.argv[2]), progress=told)
    print("finished", flush=True)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    dataset = create(SyntheticFacesOptions(train=COUNT, validation=0, test=0), DatasetContext())
    return prepare(dataset, size=SIZE, cache=tmp_path_factory.mktemp("whole"), workers=1)


@pytest.fixture
def script(tmp_path) -> Path:
    file = tmp_path / "prepare_faces.py"
    file.write_text(SCRIPT)
    return file


def start(script, cache, workers, *, hold=COUNT + 1):
    """Start to prepare; at ``hold`` pictures the process waits for the signal that ends it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, script, cache, str(workers), str(hold)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def read_until(process, done):
    """Read progress until ``done`` pictures; return the last line's numbers."""
    for line in process.stdout:
        numbers = [int(word) for word in line.split()]
        if numbers[0] >= done:
            return numbers
    raise AssertionError(f"it ended before {done} pictures")


def test_a_killed_prepare_goes_on_and_ends_with_the_same_faces(script, tmp_path, uninterrupted):
    cache = tmp_path / "cache"
    earlier = 0
    for stop in (12, 30, 47):
        process = start(script, cache, 1, hold=stop)
        done, resumed, *_ = read_until(process, stop)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        assert resumed >= max(0, earlier - 10)  # what a kill loses is what was not flushed yet
        assert done >= stop
        earlier = stop
    process = start(script, cache, 1)
    lines = process.communicate(timeout=60)[0].splitlines()
    assert lines[-1] == "finished"
    assert int(lines[0].split()[1]) >= 37
    dataset = create(SyntheticFacesOptions(train=COUNT, validation=0, test=0), DatasetContext())
    packed = prepare(dataset, size=SIZE, cache=cache)
    assert packed.fingerprint == uninterrupted.fingerprint
    assert np.array_equal(packed.images, uninterrupted.images)


def test_workers_make_the_same_faces_and_die_with_their_parent(script, tmp_path, uninterrupted):
    cache = tmp_path / "cache"
    process = start(script, cache, 2, hold=10)
    _, _, *children = read_until(process, 10)
    assert len(children) == 2
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    deadline = time.monotonic() + 10
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline, "workers outlived the process that started them"
        time.sleep(0.05)
    process = start(script, cache, 2)
    assert process.communicate(timeout=60)[0].splitlines()[-1] == "finished"
    dataset = create(SyntheticFacesOptions(train=COUNT, validation=0, test=0), DatasetContext())
    assert prepare(dataset, size=SIZE, cache=cache).fingerprint == uninterrupted.fingerprint


def test_ctrl_c_ends_it_with_its_workers_and_keeps_what_is_done(script, tmp_path):
    process = start(script, tmp_path / "cache", 2, hold=10)
    _, _, *children = read_until(process, 10)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert not any(alive(child) for child in children)
    process = start(script, tmp_path / "cache", 1, hold=10)
    assert read_until(process, 10)[1] >= 10
    process.kill()
    process.wait(timeout=10)


def test_two_that_want_the_same_cache_build_it_once(script, tmp_path, uninterrupted):
    processes = [start(script, tmp_path / "cache", 1) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [output[-1] for output in outputs] == ["finished", "finished"]
    assert sorted(len(output) > 1 for output in outputs) == [False, True]  # one drew, the other waited


def alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        if not Path("/proc/self/stat").exists():
            pytest.skip("needs /proc to see whether a process lives")
        return False
    return state not in "ZX"
