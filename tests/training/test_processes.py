"""Which process this is, by the variables that launchers set."""

from __future__ import annotations

import pytest
import torch.distributed

from facekit.interfaces import FacekitError, RunFailure
from facekit.training.distributed import peers_lost
from facekit.training.run.processes import Launch, launch

STEP = {"SLURM_JOB_ID": "4021", "SLURM_STEP_NUM_TASKS": "6", "SLURM_PROCID": "4", "SLURM_LOCALID": "1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Launch()),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Launch(3, 4, 1)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Launch()),
        # A batch script, which is no step of its job, starts one process.
        ({"SLURM_JOB_ID": "4021", "SLURM_NTASKS": "6", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, Launch()),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "1"}, Launch()),
        ({**STEP, "SLURM_STEP_NODELIST": "node[03-05,9],other"}, Launch(4, 6, 1, "tcp://node03:24021")),
        ({**STEP, "SLURM_STEP_NODELIST": "gpu-a1,gpu-b2"}, Launch(4, 6, 1, "tcp://gpu-a1:24021")),
        ({**STEP, "SLURM_STEP_NODELIST": "gpu-[7,9]"}, Launch(4, 6, 1, "tcp://gpu-7:24021")),
        (
            {**STEP, "SLURM_STEP_NODELIST": "one,two", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"},
            Launch(4, 6, 1, "tcp://10.0.0.1:29500"),
        ),
        # srun that starts a torchrun on each node
        ({**STEP, "RANK": "9", "WORLD_SIZE": "12", "LOCAL_RANK": "1"}, Launch(9, 12, 1)),
    ],
)
def test_launchers(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: Launch) -> None:
    set_environment(monkeypatch, given)
    assert launch() == expected


@pytest.mark.parametrize("given", [{"RANK": "first", "WORLD_SIZE": "2"}, STEP, {**STEP, "SLURM_STEP_NODELIST": ""}])
def test_variables_of_no_launcher_are_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    set_environment(monkeypatch, given)
    with pytest.raises(FacekitError, match="does not say which of several processes this is"):
        launch()


def test_a_lost_process_is_told_in_a_sentence() -> None:
    for error in (RuntimeError("[../gloo/transport/tcp/pair.cc:534] Read error"), torch.distributed.DistError("gone")):
        with pytest.raises(RunFailure, match="another process of this run ended"), peers_lost():
            raise error
    with pytest.raises(RuntimeError, match="its own"), peers_lost():
        raise RuntimeError("a mistake of its own")


def set_environment(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
