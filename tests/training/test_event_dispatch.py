"""Plugins that watch runs: what they are told, and that whatever they do changes nothing."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facekit import __version__
from facekit.interfaces import (
    CheckpointSaved,
    RunEvent,
    RunFailure,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry, event_dispatch, hookimpl
from facekit.training.check.dry_run import probe_steps
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.run.event_log import Journal, read_lines
from facekit.training.run.folder import RunFolder, step_name

ReadRecipe = Callable[..., ResolvedRecipe]


class Watcher:
    """A plugin that watches, and does something with what it sees."""

    def __init__(self, act: Callable[[RunEvent], object]) -> None:
        self.act = act
        self.seen: list[RunEvent] = []

    @hookimpl
    def facekit_run_event(self, event: RunEvent) -> None:
        self.seen.append(event)
        self.act(event)


@contextmanager
def watched(registry: Registry, *acts: Callable[[RunEvent], object]) -> Iterator[list[Watcher]]:
    watchers = [Watcher(act) for act in acts]
    loaded = [registry.plugins.register(each, name=f"watcher{index}") for index, each in enumerate(watchers)]
    try:
        yield watchers
    finally:
        for each in loaded:
            registry.plugins.unregister(each)


def weights(run: Path, step: int = 8) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / step_name(step) / "live.safetensors")


def same(left: Path, right: Path, step: int = 8) -> bool:
    first, second = weights(left, step), weights(right, step)
    return all(torch.equal(first[key], second[key]) for key in first)


def warnings_in(run: Path) -> list[str]:
    """The warnings of plugins; so small a model may be warned of for other reasons."""
    said = (line["message"] for line in read_lines(run / "metrics.jsonl") if line["event"] == "warning")
    return [message for message in said if message.startswith("the plugin ")]


def nothing(event: RunEvent) -> None:
    """Only watch."""


def test_a_watcher_is_told_all_that_a_tracker_needs(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read()
    with watched(registry, nothing) as (watcher,):
        train(recipe, out=tmp_path / "run", registry=registry, command="facekit run tiny")
    start, *middle, end = watcher.seen
    assert isinstance(start, RunStarted)
    assert (start.first_step, start.steps, start.resumed) == (0, 8, False)
    assert start.recipe["train"]["batch"] == 4
    assert start.recipe["losses"]["generator"][1]["weight"] == 10
    assert start.parameters == {"style_encoder": 494, "generator": 515, "discriminator": 905}
    assert start.versions["facekit"] == __version__
    assert start.versions["torch"] == torch.__version__
    assert any("tiny_plugin" in name for name in start.versions)
    lock = RunFolder(tmp_path / "run").read_lock()
    for name in ("device", "precision", "processes", "data_fingerprint", "command"):
        assert getattr(start, name) == lock[name]
    logged = [event for event in middle if isinstance(event, StepLogged)]
    assert [event.step for event in logged] == [2, 4, 6, 8]
    assert set(logged[0].learning_rates) == {"style_encoder", "generator", "discriminator"}
    assert all(event.seconds_per_step > 0 for event in logged)
    samples = [event for event in middle if isinstance(event, SamplesSaved)]
    assert [(event.step, event.weights, event.file.is_file()) for event in samples] == [
        (4, "ema", True),
        (8, "ema", True),
    ]
    assert [event.step for event in middle if isinstance(event, CheckpointSaved)] == [3, 6, 8]
    assert isinstance(end, RunFinished)
    assert (end.step, end.outcome, end.message, end.error) == (8, "finished", "", "")


def test_a_resumed_run_says_so_even_before_its_first_checkpoint(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    def stop(event: RunEvent) -> None:
        if isinstance(event, StepLogged):
            raise RuntimeError("stopped by the test")

    with pytest.raises(RuntimeError, match="stopped by the test"):
        train(read(), out=tmp_path / "run", registry=registry, observer=stop)
    with watched(registry, nothing) as (watcher,):
        train(read(), out=tmp_path / "run", registry=registry, resume=True)
    start = watcher.seen[0]
    assert isinstance(start, RunStarted)
    assert (start.first_step, start.resumed) == (0, True)


def test_a_failed_run_tells_the_exception(
    tmp_path: Path, registry: Registry, recipe_file: Path, read: ReadRecipe
) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    recipe_file.write_text(text.replace("tiny/l1, weight: 5", "tiny/breaks, at: 4"), encoding="utf-8")
    with watched(registry, nothing) as (watcher,), pytest.raises(RunFailure):
        train(read(), out=tmp_path / "run", registry=registry)
    end = watcher.seen[-1]
    assert isinstance(end, RunFinished)
    assert (end.outcome, end.error) == ("failed", "NonFiniteLoss")
    assert "generator/breaks is nan at step 5" in end.message


def _meddle(event: RunEvent) -> None:
    if isinstance(event, RunStarted):
        event.recipe["train"]["optimiser"]["lr"] = 1.0  # type: ignore[index]


def _empty_the_losses(event: RunEvent) -> None:
    if isinstance(event, StepLogged):
        event.losses.clear()  # type: ignore[attr-defined]


def _assign(event: RunEvent) -> None:
    if isinstance(event, StepLogged):
        event.step = 7  # type: ignore[misc]


@pytest.mark.parametrize("act", [_meddle, _empty_the_losses, _assign])
def test_a_watcher_that_changes_an_event_is_told_of_once_and_changes_nothing(
    tmp_path: Path, registry: Registry, read: ReadRecipe, act: Callable[[RunEvent], object]
) -> None:
    recipe, shown = read(), []
    train(recipe, out=tmp_path / "alone", registry=registry)
    before = {key: repr(value) for key, value in recipe.document.items()}
    with watched(registry, act, nothing) as (meddler, honest):
        result = train(recipe, out=tmp_path / "watched", registry=registry, observer=shown.append)
    assert result.outcome == "finished"
    assert {key: repr(value) for key, value in recipe.document.items()} == before
    assert same(tmp_path / "alone", tmp_path / "watched")
    (told,) = warnings_in(tmp_path / "watched")
    assert "the plugin 'watcher0' of watcher0 failed while it watched the run" in told
    assert sum(event.message == told for event in shown if isinstance(event, Warned)) == 1
    assert result.warnings.count(told) == 1
    assert len(meddler.seen) == (1 if act is _meddle else 2)  # the event it failed at is its last
    assert isinstance(honest.seen[-1], RunFinished)
    assert len(registry.plugins.failures) == 1


def test_a_watcher_that_uses_random_numbers_changes_nothing(
    tmp_path: Path, registry: Registry, recipe_file: Path, read: ReadRecipe
) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    recipe_file.write_text(text.replace("tiny/painter}", "tiny/painter, dropout: 0.5}"), encoding="utf-8")
    train(read(), out=tmp_path / "alone", registry=registry)

    def roll(event: RunEvent) -> None:
        torch.rand(3)
        np.random.rand(3)
        random.random()

    with watched(registry, roll):
        train(read(), out=tmp_path / "watched", registry=registry)
    assert warnings_in(tmp_path / "watched") == []
    assert same(tmp_path / "alone", tmp_path / "watched")


def test_a_watcher_that_changes_torch_changes_nothing(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    def change(event: RunEvent) -> None:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = True

    def settings() -> tuple[object, ...]:
        return torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()

    before = settings()
    recipe = read()
    train(recipe, out=tmp_path / "alone", registry=registry)
    with watched(registry, change):
        train(recipe, out=tmp_path / "run", registry=registry)
    assert warnings_in(tmp_path / "run") == []
    assert same(tmp_path / "alone", tmp_path / "run")
    assert settings() == before


def test_what_a_watcher_prints_is_not_on_stdout(
    tmp_path: Path, registry: Registry, read: ReadRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(registry, lambda event: print("a watcher's", type(event).__name__)):
        train(read("train.steps=2"), out=tmp_path / "run", registry=registry)
    out, err = capsys.readouterr()
    assert out == ""
    assert "a watcher's RunFinished" in err


@pytest.mark.parametrize("raised", [ValueError, SystemExit])
def test_a_watcher_whose_exception_cannot_be_printed(
    tmp_path: Path, registry: Registry, read: ReadRecipe, raised: type[BaseException]
) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise raised(0)

    def fail(event: RunEvent) -> None:
        raise Unprintable

    with watched(registry, fail):
        result = train(read("train.steps=2"), out=tmp_path / "run", registry=registry)
    assert result.outcome == "finished"
    (warning,) = warnings_in(tmp_path / "run")
    assert "Unprintable: (its message cannot be shown" in warning


def test_a_watcher_that_failed_is_given_the_next_run_and_named_there_too(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    def fail(event: RunEvent) -> None:
        raise SystemExit("no more")

    with watched(registry, fail) as (watcher,):
        for name in ("first", "second"):
            assert train(read("train.steps=2"), out=tmp_path / name, registry=registry).outcome == "finished"
            (told,) = warnings_in(tmp_path / name)
            assert "SystemExit: no more" in told
    assert len(watcher.seen) == 2


def test_a_slow_watcher_is_measured_and_named(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_dispatch, "SLOW", 0.25)

    def dawdle(event: RunEvent) -> None:
        if isinstance(event, StepLogged):
            time.sleep(0.4)  # longer than a step takes where others keep the machine busy

    with watched(registry, dawdle, nothing):
        train(read(), out=tmp_path / "run", registry=registry)
    (told,) = warnings_in(tmp_path / "run")
    assert re.search(r"the plugin 'watcher0' of watcher0 took 0\.[4-9] s over StepLogged", told)
    lines = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line["event"] == "train"]
    assert lines[1]["watchers"]["watcher0"] >= 0.4
    assert lines[1]["watchers"]["watcher1"] < 0.4
    assert lines[1]["seconds_per_step"] < 0.4  # the time of a step is its own


def test_ctrl_c_in_a_hook_that_returns_finishes_the_step(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    def interrupt(event: RunEvent) -> None:
        if isinstance(event, StepLogged) and event.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with watched(registry, interrupt) as (watcher,):
        result = train(read(), out=tmp_path / "run", registry=registry)
    assert (result.outcome, result.step) == ("interrupted", 5)  # the step that had begun is finished
    assert warnings_in(tmp_path / "run") == []
    end = watcher.seen[-1]
    assert isinstance(end, RunFinished)
    assert end.outcome == "interrupted"


def test_a_second_ctrl_c_ends_a_run_whose_watcher_hangs(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    def hang(event: RunEvent) -> None:
        if isinstance(event, CheckpointSaved):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
            raise AssertionError("the interruption did not reach the hook")

    with watched(registry, hang, nothing) as (hanging, other), pytest.raises(KeyboardInterrupt):
        train(read(), out=tmp_path / "run", registry=registry)
    assert isinstance(hanging.seen[-1], CheckpointSaved)  # it is not asked again, or the run would hang for ever
    end = other.seen[-1]
    assert isinstance(end, RunFinished)
    assert end.outcome == "interrupted"
    (told,) = warnings_in(tmp_path / "run")
    assert "'watcher0' of watcher0 was at work on CheckpointSaved" in told
    assert next(reversed(list(read_lines(tmp_path / "run" / "metrics.jsonl"))))["event"] == "interrupted"
    assert checkpoints.find(RunFolder(tmp_path / "run").checkpoints).step == 3
    train(read(), out=tmp_path / "run", registry=registry, resume=True)
    train(read(), out=tmp_path / "alone", registry=registry)
    assert same(tmp_path / "run", tmp_path / "alone")


def test_trying_a_recipe_out_is_not_told(registry: Registry, read: ReadRecipe) -> None:
    with watched(registry, nothing) as (watcher,):
        assert probe_steps(read(), registry=registry, steps=2).steps == 2
    assert watcher.seen == []


def test_only_the_first_of_several_processes_tells(tmp_path: Path, registry: Registry) -> None:
    with watched(registry, nothing) as (watcher,):
        journal = Journal(RunFolder(tmp_path), registry=registry, silent=True)
        journal.started(RunStarted(tmp_path, {}, 0, 1, {}))
        journal.ended(RunFinished(tmp_path, 1, "finished"))
    assert watcher.seen == []
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_watcher_of_the_documentation(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    registry.plugins.load_file(Path(__file__).parents[2] / "docs" / "examples" / "loss_table.py")

    def die(event: RunEvent) -> None:
        if isinstance(event, StepLogged) and event.step == 6:
            raise RuntimeError("stopped by the test")

    with pytest.raises(RuntimeError, match="stopped by the test"):
        train(read("train.log_every=1"), out=tmp_path / "run", registry=registry, observer=die)
    train(read("train.log_every=1"), out=tmp_path / "run", registry=registry, resume=True)
    lines = (tmp_path / "run" / "losses.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("step,discriminator/adversarial,")
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert warnings_in(tmp_path / "run") == []
