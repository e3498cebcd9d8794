"""What a run leaves, how it ends, and what stops it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from facekit.interfaces import (
    CheckpointSaved,
    Evaluated,
    FacekitError,
    Measurement,
    RunEvent,
    RunFailure,
    RunFinished,
    RunStarted,
    StepLogged,
    Warned,
)
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.event_log import read_lines
from facekit.training.run.folder import RunFolder

ReadRecipe = Callable[..., ResolvedRecipe]


def test_a_run_leaves_its_folder(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    events: list[RunEvent] = []
    recipe = read()
    result = train(recipe, out=tmp_path / "run", registry=registry, observer=events.append, command="facekit run tiny")
    assert (result.outcome, result.step, result.steps, result.run) == ("finished", 8, 8, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert read_recipe(run.recipe, registry=registry).train == recipe.train
    lock = run.read_lock()
    assert lock["command"] == "facekit run tiny"
    assert lock["parameters"] == {"style_encoder": 494, "generator": 515, "discriminator": 905}
    assert lock["threads"] == 1
    assert lock["attribute_names"] == ["Smiling"]
    assert next(read_lines(run.metrics))["event"] == "started"
    assert checkpoints.steps_on_disk(run.checkpoints) == [6, 8]  # the two newest of 3, 6 and 8
    names = {file.name for file in (run.checkpoints / "step-00000008").iterdir()}
    assert names == {
        "manifest.json",
        "state.json",
        "recipe.yaml",
        "lock.json",
        "live.safetensors",
        "ema.safetensors",
        "optimiser.safetensors",
    }
    picture = Image.open(run.sample(8))
    assert picture.size == (6 * 20 + 4, picture.height)
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    logged = [event for event in events if isinstance(event, StepLogged)]
    assert [event.step for event in logged] == [2, 4, 6, 8]
    assert set(logged[-1].losses) == {
        "discriminator/adversarial",
        "discriminator/penalty",
        "generator/adversarial",
        "generator/feature_matching",
        "generator/l1",
    }
    assert logged[-1].learning_rates["generator"] == pytest.approx(2e-4 / 4)
    assert 0 < logged[-1].diagnostics["changes_with_reference"] < 2


def test_training_lowers_the_loss(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    events: list[RunEvent] = []
    recipe = read("train.steps=60", "train.log_every=10", "train.optimiser.lr=0.01", "train.sample_every=60")
    train(recipe, out=tmp_path / "run", registry=registry, observer=events.append)
    values = [event.losses["generator/l1"] for event in events if isinstance(event, StepLogged)]
    assert values[-1] < 0.8 * values[0]


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(read("train.steps=3", f"train.seed={seed}"), out=tmp_path / name, registry=registry)
    weights = [load_file(tmp_path / name / "checkpoints" / "step-00000003" / "live.safetensors") for name in "abc"]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not torch.equal(weights[0]["generator.head.weight"], weights[2]["generator.head.weight"])


def test_a_program_keeps_its_own_random_numbers(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    train(read("train.steps=2"), out=tmp_path / "run", registry=registry)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_a_player_without_losses_is_left_out(tmp_path: Path, registry: Registry, recipe_file: Path) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    head, tail = text.split("losses:\n")[0], text.split("train:\n")[1]
    head = head.replace("  discriminator: {use: tiny/critic}\n", "")
    recipe_file.write_text(f"{head}losses:\n  generator:\n    - {{use: tiny/l1}}\ntrain:\n{tail}", encoding="utf-8")
    recipe = read_recipe(recipe_file, registry=registry)
    result = train(recipe, out=tmp_path / "run", registry=registry)
    assert result.outcome == "finished"
    assert set(RunFolder(tmp_path / "run").read_lock()["parameters"]) == {"style_encoder", "generator"}


def test_the_grid_of_a_model_that_reads_no_reference_shows_none(
    tmp_path: Path, registry: Registry, recipe_file: Path
) -> None:
    text = recipe_file.read_text(encoding="utf-8").replace("  style_encoder: {use: tiny/encoder}\n", "")
    recipe_file.write_text(text.replace("tiny/painter", "tiny/plain_painter"), encoding="utf-8")
    events: list[RunEvent] = []
    train(read_recipe(recipe_file, registry=registry), out=tmp_path / "run", registry=registry, observer=events.append)
    assert Image.open(RunFolder(tmp_path / "run").sample(8)).width == 3 * 20 + 4  # mask, result, photo
    assert all("changes_with_reference" not in event.diagnostics for event in events if isinstance(event, StepLogged))
    assert not any(isinstance(event, Warned) for event in events)


@pytest.mark.parametrize("how", ["nan", "inf"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_loss_that_is_not_finite_stops_the_run_and_its_batch_is_saved(
    tmp_path: Path, registry: Registry, recipe_file: Path, read: ReadRecipe, how: str, player: str
) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    place = f"  {player}:\n"
    assert place in text.split("losses:")[1]
    before, after = text.split("losses:\n")
    after = after.replace(place, f"{place}    - {{use: tiny/breaks, at: 4, how: {how}}}\n")
    recipe_file.write_text(f"{before}losses:\n{after}", encoding="utf-8")
    events: list[RunEvent] = []
    with pytest.raises(RunFailure, match=f"{player}/breaks is {how} at step 5"):
        train(read(), out=tmp_path / "run", registry=registry, observer=events.append)
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.outcome == "failed"
    run = RunFolder(tmp_path / "run")
    assert checkpoints.find(run.checkpoints).step == 3
    saved = load_file(run.bad_batch(5))
    assert saved["image"].shape == (4, 3, 16, 16)
    assert saved["mask"].dtype == torch.int64
    document = run.bad_batch(5).with_suffix(".json").read_text(encoding="utf-8")
    assert document.count("face0") == 4


def test_weights_that_are_not_finite_are_never_saved(
    tmp_path: Path, registry: Registry, recipe_file: Path, read: ReadRecipe
) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    text = text.replace("    - {use: tiny/l1, weight: 5}", "    - {use: tiny/breaks, at: 5, how: weights}")
    recipe_file.write_text(text, encoding="utf-8")
    # The loss of step 6 is finite and its gradient is not; a checkpoint is due right after it.
    with pytest.raises(RunFailure, match="is not finite after step 6"):
        train(read(), out=tmp_path / "at", registry=registry)
    assert checkpoints.find(RunFolder(tmp_path / "at").checkpoints).step == 3
    # With no checkpoint due, the next step's loss shows it; the batch that is saved is that of the update before.
    with pytest.raises(RunFailure, match="for the update before made"):
        train(read("train.checkpoint_every=5"), out=tmp_path / "after", registry=registry)
    keys = RunFolder(tmp_path / "after").bad_batch(7).with_suffix(".json").read_text(encoding="utf-8")
    assert "weight_not_finite" in keys
    # Clipping looks at the norm before the update.
    with pytest.raises(RunFailure, match="gradient_norm/generator is nan at step 6"):
        train(read("train.gradient_clip=1"), out=tmp_path / "clipped", registry=registry)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(
    tmp_path: Path, registry: Registry, read: ReadRecipe, number: signal.Signals
) -> None:
    recipe = read("train.log_every=1", "train.steps=8")
    events: list[RunEvent] = []

    def observe(event: RunEvent) -> None:
        events.append(event)
        if isinstance(event, StepLogged) and event.step == 4:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    result = train(recipe, out=tmp_path / "run", registry=registry, observer=observe)
    assert signal.getsignal(number) is before
    assert result.outcome == "interrupted"
    assert result.step == 5  # the signal came between two steps: the one that had begun is finished
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert "facekit resume" in last.message
    assert checkpoints.find(RunFolder(tmp_path / "run").checkpoints).step == 5
    assert train(recipe, out=tmp_path / "run", registry=registry, resume=True).outcome == "finished"
    train(recipe, out=tmp_path / "whole", registry=registry)
    left, right = (load_file(tmp_path / n / "checkpoints/step-00000008/live.safetensors") for n in ("run", "whole"))
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_second_signal_stops_at_once(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    events: list[RunEvent] = []

    def observe(event: RunEvent) -> None:
        events.append(event)
        if isinstance(event, StepLogged) and event.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(read("train.log_every=1"), out=tmp_path / "run", registry=registry, observer=observe)
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.outcome == "interrupted"
    assert checkpoints.find(RunFolder(tmp_path / "run").checkpoints).step == 3


def test_measures_and_keeps_the_best(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    values = {2: 1.0, 4: 9.0, 6: 3.0, 8: 4.0}
    seen: list[bool] = []

    def evaluate(model: torch.nn.Module, step: int) -> SimpleNamespace:
        seen.append(model.training)
        torch.rand(step)  # must not change the run
        entry = Measurement("quality", values[step], "", "higher")
        return SimpleNamespace(
            protocol="abc", fields={}, measurements=(entry,), ids={"quality": "abcd"}, intervals={}, notes=()
        )

    recipe = read("train.evaluate_every=2", "train.keep.best=quality", "train.checkpoint_every=1", "train.keep.last=2")
    events: list[RunEvent] = []
    train(recipe, out=tmp_path / "run", registry=registry, observer=events.append, evaluate=evaluate)
    assert seen == [False] * 4
    assert checkpoints.steps_on_disk(RunFolder(tmp_path / "run").checkpoints) == [4, 7, 8]
    assert [event.step for event in events if isinstance(event, Evaluated)] == [2, 4, 6, 8]
    train(read("train.checkpoint_every=1"), out=tmp_path / "plain", registry=registry)
    left, right = (load_file(tmp_path / n / "checkpoints/step-00000008/live.safetensors") for n in ("run", "plain"))
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_settings_that_cannot_go_together_fail_before_anything_is_built(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    with pytest.raises(FacekitError, match="nothing to measure with"):
        train(read("train.evaluate_every=2"), out=tmp_path / "a", registry=registry)
    with pytest.raises(FacekitError, match=r"train\.keep\.best"):
        train(read("train.keep.best=x"), out=tmp_path / "b", registry=registry)
    if not torch.cuda.is_available():
        with pytest.raises(FacekitError, match="no CUDA device"):
            train(read("train.device=cuda"), out=tmp_path / "c", registry=registry)
    with pytest.raises(FacekitError, match=r"train\.cuda_graphs is on, and this run computes on the CPU"):
        train(read("train.cuda_graphs=true"), out=tmp_path / "d", registry=registry)
    for setting in ("compile", "cuda_graphs"):
        with pytest.raises(FacekitError, match=rf"train\.{setting} and train\.activation_checkpointing cannot"):
            read(f"train.{setting}=true", "train.activation_checkpointing=true")
    assert not RunFolder(tmp_path / "a").holds_a_run


def test_a_plugin_that_fails_while_it_watches_is_reported_once_and_stops_nothing(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_PLUGIN_FAILS", "1")
    result = train(read("train.log_every=1"), out=tmp_path / "run", registry=registry)
    assert result.outcome == "finished"
    assert sum("told to fail" in warning for warning in result.warnings) == 1


def test_a_result_that_does_not_change_with_the_reference_is_warned_of_once(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    # A learning rate of almost nothing leaves the style path as weak as it begins.
    recipe = read("train.steps=40", "train.optimiser.lr=1e-9", "train.sample_every=2", "train.seed=1")
    events: list[RunEvent] = []
    train(recipe, out=tmp_path / "run", registry=registry, observer=events.append)
    warned = [event for event in events if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "does not change with the reference" in warned[0].message
    assert 4 <= warned[0].step <= 12


def test_initialise_and_freeze(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    train(read("train.steps=3", "train.seed=3"), out=tmp_path / "first", registry=registry)
    source = load_model(tmp_path / "first", registry=registry)
    assert source.weights == "ema"
    recipe = read(
        "train.steps=4",
        f"train.initialise=[{{part: generator, weights: {tmp_path / 'first'}}}]",
        "train.freeze=[{part: generator.stem, until: 0.5}, {part: generator.norm, until: 1}]",
        "train.checkpoint_every=1",
        "train.keep.last=9",
    )
    train(recipe, out=tmp_path / "second", registry=registry)
    states = [load_file(tmp_path / f"second/checkpoints/step-0000000{step}/live.safetensors") for step in (1, 2, 3, 4)]
    started = source.model.state_dict()
    assert torch.equal(states[1]["generator.stem.weight"], started["generator.stem.weight"])
    assert not torch.equal(states[2]["generator.stem.weight"], started["generator.stem.weight"])
    assert torch.equal(states[3]["generator.norm.weight"], started["generator.norm.weight"])
    assert not torch.equal(states[0]["generator.head.weight"], started["generator.head.weight"])
    with pytest.raises(FacekitError, match=r"no part 'generator\.stam'"):
        train(read("train.freeze=[{part: generator.stam}]"), out=tmp_path / "third", registry=registry)
    with pytest.raises(FacekitError, match="no such run folder or file"):
        train(
            read("train.initialise=[{part: generator, weights: nowhere.safetensors}]"),
            out=tmp_path / "fourth",
            registry=registry,
        )


def test_epochs_become_steps(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    # 16 training faces, batch 4: one epoch is 4 steps of one discriminator turn, or 2 of two.
    assert train(read("train.epochs=1"), out=tmp_path / "a", registry=registry).steps == 4
    recipe = read("train.epochs=1", "train.turns.discriminator=2")
    assert train(recipe, out=tmp_path / "b", registry=registry).steps == 2


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 4096)


def test_a_full_disk_stops_the_run_and_the_last_checkpoint_is_intact(
    tmp_path: Path, registry: Registry, read: ReadRecipe, small_disk: Path
) -> None:
    events: list[RunEvent] = []
    filler = small_disk / "filler"

    def observe(event: RunEvent) -> None:
        events.append(event)
        if isinstance(event, CheckpointSaved) and event.step == 3:
            fill(filler)

    recipe = read("train.sample_every=1000", "train.log_every=1000")
    with pytest.raises(RunFailure, match="the disk is full"):
        train(recipe, out=small_disk / "run", registry=registry, observer=observe)
    run = RunFolder(small_disk / "run")
    found = checkpoints.find(run.checkpoints)
    assert found.step == 3
    assert not found.damaged
    assert [entry.name for entry in run.checkpoints.iterdir()] == ["step-00000003"]
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.outcome == "failed"
    filler.unlink()
    assert train(recipe, out=small_disk / "run", registry=registry, resume=True).outcome == "finished"


@pytest.mark.slow
def test_compiled_networks_train_the_same(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    if shutil.which("g++") is None:
        pytest.skip("compiling for the CPU needs g++")
    losses = []
    for name in ("false", "true"):
        events: list[RunEvent] = []
        recipe = read("train.steps=2", f"train.compile={name}")
        train(recipe, out=tmp_path / name, registry=registry, observer=events.append)
        losses.append(next(event.losses for event in events if isinstance(event, StepLogged)))
        keys = load_file(tmp_path / name / "checkpoints/step-00000002/live.safetensors").keys()
        assert "generator.head.weight" in keys
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
