"""Real runs, started and killed as a user would, and their logs read back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file

LOSSES = {"loss/generator/adversarial", "loss/generator/l1", "loss/discriminator/adversarial"}
EVALUATIONS = {
    *("test-ema", "validation-ema", "test-baseline-copy_reference"),
    *("test-baseline-mean_colour_per_region", "test-baseline-nearest_training_photo_by_mask"),
    "test-baseline-real_photos",
}

KILLS = """\
import os, signal
from facekit.interfaces import StepLogged
from facekit.registry import hookimpl

@hookimpl
def facekit_run_event(event):
    # After the log has been told: plugins are told in the order of their loading, and files come last.
    if isinstance(event, StepLogged) and event.step == 5 and "DIE" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def lines_of(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == kind]


def same_weights(left: Path, right: Path) -> bool:
    first, second = (load_file(run / "checkpoints" / "step-00000006" / "live.safetensors") for run in (left, right))
    return all((first[name] == second[name]).all() for name in first)


def test_a_run_is_in_its_log(first_run: Path, read_log: Callable[..., Any]) -> None:
    log = read_log(first_run / "tensorboard")
    train = lines_of(first_run, "train")
    for name in LOSSES:
        told = [line["losses"][name.removeprefix("loss/")] for line in train]
        assert log.steps(name) == [1, 2, 3, 4, 5, 6]
        assert [value for _, value in log.curve(name)] == pytest.approx(told, rel=1e-6)
    assert log.steps("speed/seconds_per_step") == [1, 2, 3, 4, 5, 6]
    assert {f"learning_rate/{name}" for name in ("generator", "style_encoder", "discriminator")} <= log.curves
    assert log.steps("diagnostics/changes_with_reference") == [3, 6]
    with Image.open(first_run / "samples" / "step-00000006.png") as sample:
        assert log.pictures("samples") == [(3, *sample.size), (6, *sample.size)]
    assert "use: sft_pix2pixhd" in log.texts("recipe")[0][1]
    assert "facekit run tiny.yaml" in log.texts("run")[0][1]
    assert {folder.name for folder in (first_run / "tensorboard").iterdir() if folder.is_dir()} == EVALUATIONS
    validation = read_log(first_run / "tensorboard" / "validation-ema")
    (name,) = validation.curves
    assert name.startswith("evaluation/psnr (dB) [")
    told = [line for line in lines_of(first_run, "evaluation") if line["split"] == "validation"]
    assert validation.steps(name) == [line["step"] for line in told] == [3, 6]
    for (_, value), line in zip(validation.curve(name), told, strict=True):
        assert value == pytest.approx(line["measurements"][0]["value"], rel=1e-6)
    assert not any("the plugin" in line["message"] for line in lines_of(first_run, "warning"))
    took = [line["watchers"]["facekit-tensorboard"] for line in train]
    assert max(took[1:]) < 1.0  # after TensorBoard was imported


def test_measuring_again_leaves_one_point(
    facekit: Callable[..., Any], first_run: Path, read_log: Callable[..., Any]
) -> None:
    done = facekit("evaluate", first_run)
    assert done.returncode == 0, done.stderr
    log = read_log(first_run / "tensorboard" / "test-ema")
    (name,) = log.curves
    assert log.steps(name) == [6]


def test_a_run_killed_and_resumed_has_each_step_once(
    facekit: Callable[..., Any], first_run: Path, workplace: Path, read_log: Callable[..., Any]
) -> None:
    (workplace / "kills.py").write_text(KILLS, encoding="utf-8")
    run = workplace / "runs" / "killed"
    died = facekit("run", "tiny.yaml", "--out", run, "--plugin-file", "kills.py", DIE="1")
    assert died.returncode == -signal.SIGKILL
    before = read_log(run / "tensorboard")
    assert before.steps("loss/generator/l1") == [1, 2, 3, 4, 5]  # nothing that was told is lost
    done = facekit("resume", run, "--plugin-file", "kills.py")
    assert done.returncode == 0, done.stderr
    log = read_log(run / "tensorboard")
    assert len(list((run / "tensorboard").glob("events*"))) == 2
    for name in LOSSES | {"speed/seconds_per_step"}:
        assert log.steps(name) == [1, 2, 3, 4, 5, 6]
    assert [step for step, _, _ in log.pictures("samples")] == [3, 6]
    assert len(log.texts("recipe")) == 1
    whole = read_log(first_run / "tensorboard")
    for name in LOSSES:
        assert log.curve(name) == whole.curve(name)
    for part in EVALUATIONS:
        ours, theirs = read_log(run / "tensorboard" / part), read_log(first_run / "tensorboard" / part)
        assert ours.curves == theirs.curves
        assert all(ours.curve(name) == theirs.curve(name) for name in ours.curves)


def test_watching_changes_nothing_and_can_be_switched_off(
    facekit: Callable[..., Any], first_run: Path, workplace: Path
) -> None:
    run = workplace / "runs" / "off"
    done = facekit("run", "tiny.yaml", "--out", run, FACEKIT_TENSORBOARD="off")
    assert done.returncode == 0, done.stderr
    assert not (run / "tensorboard").exists()
    assert same_weights(run, first_run)


def test_a_wrong_switch_is_told_and_the_run_goes_on(facekit: Callable[..., Any], workplace: Path) -> None:
    run = workplace / "runs" / "wrong"
    done = facekit("run", "tiny.yaml", "--out", run, "--set", "train.steps=1", FACEKIT_TENSORBOARD="perhaps")
    assert done.returncode == 0, done.stderr
    assert "the plugin 'tensorboard' of facekit-tensorboard" in done.stderr
    assert "FACEKIT_TENSORBOARD is 'perhaps', which is neither on nor off" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run / "tensorboard").exists()


def test_an_interrupted_run_closes_its_log_and_goes_on_in_it(
    workplace: Path, environment: dict[str, str], facekit: Callable[..., Any], read_log: Callable[..., Any]
) -> None:
    run, logs = workplace / "runs" / "interrupted", workplace / "logs"
    elsewhere = {"FACEKIT_TENSORBOARD_DIR": str(logs)}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("facekit")), "run", "tiny.yaml", "--out", str(run)],
        cwd=workplace,
        env={**environment, **elsewhere},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() or not lines_of(run, "train"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    stopped = lines_of(run, "interrupted")[-1]["step"]
    log = read_log(logs / "interrupted")
    assert log.steps("loss/generator/l1") == list(range(1, stopped + 1))
    assert log.texts("outcome")[0][1].startswith("interrupted: stopped at step")
    assert "_hparams_/session_end_info" in log.reader.Tags()["tensors"]
    assert facekit("resume", run, **elsewhere).returncode == 0
    assert read_log(logs / "interrupted").steps("loss/generator/l1") == [1, 2, 3, 4, 5, 6]
    assert not (run / "tensorboard").exists()
    shown = facekit("tensorboard", run, "--export", "-", **elsewhere)
    assert "interrupted,loss/generator/l1,6," in shown.stdout
