"""Checkpoints are written while the run goes on, by steps or by time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.kills import tensors_of

from facekit.interfaces import FacekitError, RunEvent, RunFailure, StepLogged
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.run.event_log import read_lines
from facekit.training.run.folder import RunFolder

ReadRecipe = Callable[..., ResolvedRecipe]


def test_steps_go_on_while_a_checkpoint_is_written(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read("train.log_every=1")
    train(recipe, out=tmp_path / "whole", registry=registry)
    gone_on, write = threading.Event(), checkpoints.write

    def slowly(folder: Path, **parts: Any) -> Path:
        if parts["step"] == 6:
            assert gone_on.wait(60), "the run waits for its checkpoint"
        return write(folder, **parts)

    def observe(event: RunEvent) -> None:
        if isinstance(event, StepLogged) and event.step == 7:
            gone_on.set()

    monkeypatch.setattr(checkpoints, "write", slowly)
    train(recipe, out=tmp_path / "slow", registry=registry, observer=observe)
    # It holds what the run was at its step, not at that when it was written.
    for step in (6, 8):
        whole, slow = tensors_of(tmp_path / "whole", step), tensors_of(tmp_path / "slow", step)
        assert whole.keys() == slow.keys()
        assert all(torch.equal(whole[name], slow[name]) for name in whole)
    lines = [line["step"] for line in read_lines(tmp_path / "slow" / "metrics.jsonl") if line["event"] == "checkpoint"]
    assert lines == [3, 6, 8]


def test_what_keeps_a_checkpoint_from_being_written_ends_the_run(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, **parts: Any) -> Path:
        raise RunFailure("the disk is full", where=str(folder))

    monkeypatch.setattr(checkpoints, "write", fail)
    with pytest.raises(RunFailure, match="the disk is full"):
        train(read(), out=tmp_path / "run", registry=registry)
    last = [*read_lines(tmp_path / "run" / "metrics.jsonl")][-1]
    assert last["event"] == "failed"
    assert last["step"] < 8  # not at the end only


def test_checkpoints_by_time(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(read("train.checkpoint_every=2 h"), out=tmp_path / "short", registry=registry)
    assert checkpoints.steps_on_disk(RunFolder(tmp_path / "short").checkpoints) == [8]

    hours = itertools.count()
    # The writer's clock alone: threads of others look at time as well.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * next(hours))
    monkeypatch.setattr("facekit.training.state.time", clock)
    train(read("train.checkpoint_every=1 h"), out=tmp_path / "long", registry=registry)
    assert checkpoints.steps_on_disk(RunFolder(tmp_path / "long").checkpoints) == [7, 8]


@pytest.mark.parametrize("given", ["10m", "min", "0 s", "1.5 h", "500 steps"])
def test_other_times_are_refused(read: ReadRecipe, given: str) -> None:
    with pytest.raises(FacekitError, match="neither a number of steps nor a time: write 500, `30 s`, `10"):
        read(f"train.checkpoint_every={given}")
