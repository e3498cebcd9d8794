"""n steps equal k steps, a kill, and a resume: every tensor of every file, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.kills import Killed, kill_after, tensors_of

from facekit.interfaces import CheckpointSaved, FacekitError, RunEvent, Warned
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.event_log import read_lines
from facekit.training.run.folder import RunFolder, step_name

ReadRecipe = Callable[..., ResolvedRecipe]


def assert_same(first: Path, second: Path, step: int) -> None:
    left, right = tensors_of(first, step), tensors_of(second, step)
    assert left.keys() == right.keys()
    differing = [name for name in left if not torch.equal(left[name], right[name])]
    assert not differing
    assert len({name.split(":")[0] for name in left}) >= 3  # live, average, optimiser


PLAIN = ("train.log_every=1",)


@pytest.mark.parametrize(
    "overrides",
    [
        PLAIN,
        (*PLAIN, "train.precision=bf16"),
        (*PLAIN, "train.accumulate=2", "train.batch=2", "train.gradient_clip=0.5"),
        (*PLAIN, "train.turns.discriminator=3", "train.precision=bf16", "model.generator.dropout=0.3"),
        (
            *PLAIN,
            "losses.discriminator[0].replay_pool=6",
            "train.optimiser.use=adamw",
            "train.optimiser.weight_decay=0.01",
        ),
        (*PLAIN, "train.channels_last=false", "train.ema.decay=0", "data.workers=0", "data.reference.crop=0.5"),
    ],
    ids=["fp32", "bf16", "accumulate", "turns+dropout", "pool+adamw", "no average"],
)
def test_resume_is_exact(tmp_path: Path, registry: Registry, read: ReadRecipe, overrides: tuple[str, ...]) -> None:
    recipe = read(*overrides)
    train(recipe, out=tmp_path / "whole", registry=registry)
    # Killed twice: after step 2, before the first checkpoint; and after step 5, two steps past the one of step 3.
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(2))
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(5), resume=True)
    result = train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert (result.outcome, result.step) == ("finished", 8)
    if "train.ema.decay=0" in overrides:
        assert load_model(tmp_path / "killed", registry=registry).weights == "live"
        left, right = tensors_of(tmp_path / "whole", 8), tensors_of(tmp_path / "killed", 8)
        assert all(torch.equal(left[name], right[name]) for name in left)
    else:
        assert_same(tmp_path / "whole", tmp_path / "killed", 8)


def test_losses_with_state_and_frozen_parts_resume_exactly(
    tmp_path: Path, registry: Registry, recipe_file: Path, read: ReadRecipe
) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    text = text.replace(
        "    - {use: tiny/l1, weight: 5}", "    - {use: tiny/running_mean}\n    - {use: tiny/l1, weight: 5}"
    )
    text += "  freeze: [{part: generator.stem, until: 0.6}]\n"
    recipe_file.write_text(text, encoding="utf-8")
    recipe = read(*PLAIN)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(4))
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed", 8)
    assert "losses.safetensors:generator/running_mean.mean" in tensors_of(tmp_path / "whole", 8)


def test_metrics_have_no_double_entries_and_the_same_losses(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    # log_every 4 and checkpoints at 3 and 6: the means of steps 5 to 8 span the resume.
    recipe = read("train.log_every=4", "train.checkpoint_every=3")
    train(recipe, out=tmp_path / "whole", registry=registry)

    def kill_at_checkpoint(event: RunEvent) -> None:
        if isinstance(event, CheckpointSaved) and event.step == 6:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_at_checkpoint)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)

    def curve(run: Path) -> list[tuple[int, dict[str, float]]]:
        return [
            (line["step"], line["losses"]) for line in read_lines(run / "metrics.jsonl") if line["event"] == "train"
        ]

    assert curve(tmp_path / "whole") == curve(tmp_path / "killed")
    assert [step for step, _ in curve(tmp_path / "killed")] == [4, 8]


def test_lines_beyond_the_checkpoint_are_written_once(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read("train.log_every=1")
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "run", registry=registry, observer=kill_after(5))
    train(recipe, out=tmp_path / "run", registry=registry, resume=True)
    lines = list(read_lines(tmp_path / "run" / "metrics.jsonl"))
    assert [line["step"] for line in lines if line["event"] == "train"] == list(range(1, 9))
    assert [line["event"] for line in lines if line["event"] in ("started", "resumed", "failed", "finished")] == [
        "started",
        "failed",
        "resumed",
        "finished",
    ]


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_used(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    recipe = read("train.log_every=1")
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "run", registry=registry, observer=kill_after(7))
    newest = RunFolder(tmp_path / "run").checkpoints / step_name(6) / checkpoints.LIVE
    data = bytearray(newest.read_bytes())
    data[-5] ^= 1
    newest.write_bytes(data)
    events: list[RunEvent] = []
    result = train(recipe, out=tmp_path / "run", registry=registry, resume=True, observer=events.append)
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert any("step-00000006 is damaged" in message and "live.safetensors" in message for message in warned)
    assert any("step-00000006 is damaged" in message for message in result.warnings)
    resumed = next(line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line["event"] == "resumed")
    assert resumed["step"] == 3
    assert_same(tmp_path / "whole", tmp_path / "run", 8)
    # The damaged one is set aside: it does not count among the two that are kept.
    names = sorted(entry.name for entry in RunFolder(tmp_path / "run").checkpoints.iterdir())
    assert names == ["damaged-step-00000006", "step-00000006", "step-00000008"]


def test_a_run_killed_before_its_first_checkpoint_starts_from_its_own_initial_weights(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    train(read("train.steps=3", "train.seed=3"), out=tmp_path / "first", registry=registry)
    initialise = f"train.initialise=[{{part: generator, weights: {tmp_path / 'first'}}}]"
    recipe = read("train.log_every=1", "train.steps=4", initialise)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(2))
    train(recipe, out=tmp_path / "killed", registry=registry, resume=None)
    assert_same(tmp_path / "whole", tmp_path / "killed", 4)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read()
    train(recipe, out=tmp_path / "run", registry=registry)
    before = tensors_of(tmp_path / "run", 8)
    result = train(recipe, out=tmp_path / "run", registry=registry, resume=None)
    assert (result.outcome, result.step) == ("finished", 8)
    after = tensors_of(tmp_path / "run", 8)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_goes_on_with_its_own_recipe_only(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    train(read("train.steps=2"), out=tmp_path / "run", registry=registry)
    with pytest.raises(FacekitError, match=r"train\.optimiser\.lr was 0\.0002, is 0\.5"):
        train(read("train.steps=2", "train.optimiser.lr=0.5"), out=tmp_path / "run", registry=registry, resume=True)
    with pytest.raises(FacekitError, match="holds a run already"):
        train(read("train.steps=2"), out=tmp_path / "run", registry=registry)
    with pytest.raises(FacekitError, match=r"a run of another recipe: train\.batch was 4, is 3"):
        train(read("train.steps=2", "train.batch=3"), out=tmp_path / "run", registry=registry, resume=None)
    with pytest.raises(FacekitError, match=r"no recipe\.yaml"):
        train(read("train.steps=2"), out=tmp_path / "elsewhere", registry=registry, resume=True)


def test_another_environment_is_warned_of_and_other_data_refused(
    tmp_path: Path, registry: Registry, read: ReadRecipe
) -> None:
    recipe = read("train.steps=2")
    train(recipe, out=tmp_path / "run", registry=registry)
    folder = RunFolder(tmp_path / "run")
    lock = folder.read_lock()
    folder.write_lock({**lock, "threads": 64, "libraries": {"lib": "0.9"}})
    result = train(recipe, out=tmp_path / "run", registry=registry, resume=True)
    assert any("threads was 64, is 1" in warning for warning in result.warnings)
    assert any("libraries was {'lib': '0.9'}, is {}" in warning for warning in result.warnings)
    folder.write_lock({**lock, "data_fingerprint": "other"})
    with pytest.raises(FacekitError, match="data is not what this run was started with"):
        train(recipe, out=tmp_path / "run", registry=registry, resume=True)
