"""Jobs, by submitit's executors on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from facekit.interfaces import STOPPED, ExecutorContext, FacekitError
from facekit_cluster.options import SlurmOptions
from facekit_cluster.slurm import build_slurm

pytest.importorskip("submitit", reason="needs submitit: pip install submitit")


@pytest.fixture
def executor(tmp_path):
    options = SlurmOptions(cluster="local", gpus=0, threads=1, hours=0.1)
    return build_slurm(options, ExecutorContext(tmp_path / "executor"))


def test_a_job_runs_its_command(executor, script, wait, tmp_path):
    job = executor.submit(script(steps=2))
    assert wait(job.poll) == 0
    assert (tmp_path / "a task.done").read_text() == "2"
    assert (tmp_path / "logs" / "a task.log").read_text() == "began at 0\n"


def test_a_command_that_fails(executor, script, wait, tmp_path):
    job = executor.submit(script(code="import sys; sys.exit('out of luck')"))
    assert wait(job.poll) == 1
    assert (tmp_path / "logs" / "a task.log").read_text() == "out of luck\n"


def test_the_debug_executor_runs_it_here(script, tmp_path):
    executor = build_slurm(SlurmOptions(cluster="debug", threads=1), ExecutorContext(tmp_path / "executor"))
    assert executor.submit(script(code="import sys; sys.exit(7)")).poll() == 7


def test_a_cancelled_job_saves_and_goes_on_when_submitted_again(executor, script, wait, tmp_path):
    saved, log = tmp_path / "a task.saved", tmp_path / "logs" / "a task.log"
    job = executor.submit(script(steps=1000))
    wait(lambda: log.exists() and "began" in log.read_text())
    assert job.poll() is None
    job.cancel()
    assert wait(job.poll) == STOPPED
    wait(saved.exists)
    step = int(wait(saved.read_text))
    again = executor.submit(script(steps=step + 1))
    assert wait(again.poll) == 0
    assert log.read_text().splitlines()[-1] == f"began at {step}"


def test_a_job_that_is_preempted_goes_on_in_a_new_one(executor, script, wait, tmp_path):
    log = tmp_path / "logs" / "a task.log"
    job = executor.submit(script(steps=40))
    wait(lambda: log.exists() and "began" in log.read_text())
    time.sleep(0.3)
    os.kill(int((tmp_path / "a task.parent").read_text()), signal.SIGUSR2)  # what SLURM sends to submitit's process
    assert wait(job.poll) == 0
    began = [int(line.rsplit(" ", 1)[1]) for line in log.read_text().splitlines()]
    assert len(began) == 2, "it was started again"
    assert began[0] == 0 < began[1]
    assert (tmp_path / "a task.done").read_text() == "40"


@pytest.mark.skipif(shutil.which("srun") is not None, reason="this machine has SLURM")
def test_a_machine_without_slurm(tmp_path):
    with pytest.raises(FacekitError, match="this machine cannot submit jobs") as raised:
        build_slurm(SlurmOptions(), ExecutorContext(tmp_path))
    assert "login node" in str(raised.value)
