"""Ablations as a user runs them: real processes, killed for real; nothing that is done is done again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facekit.cli import experiment_worker
from facekit.experiments.executor import LocalProcesses
from facekit.interfaces import ExecutorTask

from .test_torch_free import TORCH, _run

FACEKIT = Path(sys.executable).with_name("facekit")

GRID = """\
ablation: 1
name: toy
description: The tiny recipe, with and without its feature matching.
base: tiny.yaml
steps: 4
seeds: [0, 1]
metrics: [{use: psnr}, {use: style_following}]
reference: full model
rows:
  full model:
  no feature matching: {set: {"losses.generator[feature_matching]": null}}
  copy the reference: {baseline: copy_reference}
"""

ONE_RUN = GRID.replace("seeds: [0, 1]", "seeds: [0]").split("  no feature")[0]


@pytest.fixture(scope="module")
def toy(facekit: Callable[..., Any], within: Callable[..., Any], workplace: Path) -> tuple[Path, Any]:
    """The toy grid, finished, and what the command printed."""
    (workplace / "toy.yaml").write_text(GRID, encoding="utf-8")
    out = workplace / "toy"
    planned = within("ablate", "toy.yaml", "--out", out, "--dry-run", "--json")
    assert [entry["plan"] for entry in json.loads(planned.out)] == ["train, measure"] * 4 + ["measure"]
    assert not out.exists()
    finished = facekit("ablate", "toy.yaml", "--out", out, "--workers", "2")
    assert finished.code == 0, finished.err
    return out, finished


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the tasks of a sweep inside this process, which need not import torch again; those of ``toy`` have their own.

    Each is done before the next is submitted.
    """

    def submit(executor: LocalProcesses, task: ExecutorTask) -> SimpleNamespace:
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with monkeypatch.context() as patch, task.log.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            patch.setattr(sys, "stdin", None)
            code = experiment_worker.main(Path(task.command[-1]))
        return SimpleNamespace(poll=lambda: code)

    monkeypatch.setattr(LocalProcesses, "submit", submit)


def _lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def _runs(out: Path) -> dict[str, Path]:
    return {path.name.rsplit("-", 1)[0]: path for path in (out / "runs").iterdir()}


def _dates(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "owner.json"}


def _numbers(out: Path) -> dict[tuple[str, str], str]:
    with (out / "table.csv").open(encoding="utf-8") as stream:
        return {(line["row"], line["measurement"]): line["mean"] for line in csv.DictReader(stream)}


def test_a_grid_is_run(toy: tuple[Path, Any]) -> None:
    out, finished = toy
    assert "5 of 5 done; step 16 of 16" in finished.err
    runs = _runs(out)
    assert set(runs) == {f"{row}-seed{seed}" for row in ("full-model", "no-feature-matching") for seed in (0, 1)}
    assert all((run / "report.html").is_file() for run in runs.values())
    numbers = _numbers(out)
    assert set(numbers) == {
        (row, name)
        for row in ("full model", "no feature matching", "copy the reference")
        for name in ("psnr", "style_following/mean", "style_following/skin", "style_following/hair")
    }
    assert numbers["copy the reference", "psnr"] == "100.0"
    for name in ("table.md", "table.tex", "index.html", "contact_sheet.png", "grid.yaml"):
        assert (out / name).is_file(), name
    run = runs["full-model-seed0"]
    stored = json.loads(next((run / "evaluations").glob("*.json")).read_text("utf-8"))
    psnr = next(entry for entry in stored["measurements"] if entry["name"] == "psnr")
    assert len(psnr["per_sample"]) == 5
    assert all("per_sample" not in json.dumps(line) for line in _lines(run))


def test_a_second_call_trains_nothing_and_imports_no_torch(
    toy: tuple[Path, Any], workplace: Path, environment: dict[str, str]
) -> None:
    out, finished = toy
    before = _dates(out)
    code, printed, error = _run(["ablate", "toy.yaml", "--out", str(out)], TORCH | {"scipy"}, workplace, environment)
    assert code == 0, error
    assert printed == finished.out
    assert _dates(out) == before, "nothing was trained, measured or written"


def test_runs_that_exist_are_compared(within: Callable[..., Any], toy: tuple[Path, Any], workplace: Path) -> None:
    out, _ = toy
    runs = _runs(out)
    compared = within("compare", *runs.values(), "--out", "comparison", "--json")
    assert compared.code == 0, compared.err
    assert "have not been measured" not in compared.err, "they were measured by the sweep"
    rows = {row[0]: row for row in json.loads(compared.out)["rows"]}
    assert set(rows) == {"full model", "no feature matching"}
    assert all(row[-4] == "2" for row in rows.values()), "runs that differ in the seed alone are one row"
    for name in ("table.md", "index.html", "contact_sheet.png"):
        assert (workplace / "comparison" / name).is_file()
    pair = [runs["full-model-seed0"], runs["no-feature-matching-seed0"]]
    other = within("compare", *pair, "--split", "validation", "--against", pair[1], "--out", "comparison")
    assert other.code == 0, other.err
    assert "2 of 2 runs have not been measured like this" in other.err
    assert "worse than 'no feature matching'" in other.out


def test_another_name_and_another_metric_train_nothing(
    within: Callable[..., Any], toy: tuple[Path, Any], workplace: Path
) -> None:
    out, _ = toy
    text = GRID.replace("full model", "whole model").replace("{use: psnr}", "{use: psnr}, {use: ssim}")
    (workplace / "renamed.yaml").write_text(text, encoding="utf-8")
    runs = _runs(out)
    finished = within("ablate", "renamed.yaml", "--out", out, "--only", "whole model", "--seeds", "0")
    assert finished.code == 0, finished.err
    assert "1 of 3 runs are left to do" in finished.err
    assert [line["event"] for run in runs.values() for line in _lines(run)].count("started") == 4
    assert ("whole model", "ssim") in _numbers(out)
    assert _runs(out) == runs


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_where_it_was(
    facekit: Callable[..., Any], workplace: Path, environment: dict[str, str]
) -> None:
    (workplace / "killed.yaml").write_text(ONE_RUN.replace("steps: 4", "steps: 30"))
    # One thread, as the runs of both sweeps must compute in the same order.
    many = ("--threads", "1", "--set", "train.checkpoint_every=1", "--set", "train.evaluate_every=null")
    whole, out = workplace / "whole", workplace / "killed"
    command = [str(FACEKIT), "ablate", "killed.yaml", "--out", str(out), *many]
    sweep = subprocess.Popen(
        command,
        cwd=workplace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("runs/*/checkpoints/step-0000000[3-9]")):
            assert sweep.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (run,) = _runs(out).values()
        owner = json.loads((run / "owner.json").read_text("utf-8"))["pid"]
        os.killpg(sweep.pid, signal.SIGKILL)
        os.kill(owner, signal.SIGKILL)
    finally:
        sweep.kill()
        sweep.communicate()
    assert not list(out.glob("failures/*")), "the sweep died with its run"
    finished = facekit("ablate", "killed.yaml", "--out", out, *many)
    assert finished.code == 0, finished.err
    events = [
        (line["event"], line["step"]) for line in _lines(run) if line["event"] in ("started", "resumed", "finished")
    ]
    assert events[0] == ("started", 0)
    assert events[-1] == ("finished", 30)
    assert [step for event, step in events if event == "resumed"][-1] >= 3
    uninterrupted = facekit("ablate", "killed.yaml", "--out", whole, *many)
    assert uninterrupted.code == 0, uninterrupted.err
    assert _numbers(whole) == _numbers(out), "as if it had never been killed"


@pytest.mark.slow
def test_ctrl_c_saves_what_is_going_on_and_a_sweep_that_dies_takes_its_runs_with_it(
    facekit: Callable[..., Any], workplace: Path, environment: dict[str, str]
) -> None:
    (workplace / "stopped.yaml").write_text(ONE_RUN.replace("steps: 4", "steps: 4000"))
    rarely = ("--set", "train.checkpoint_every=4000", "--set", "train.evaluate_every=null")
    for number in (signal.SIGINT, signal.SIGKILL):
        out = workplace / f"stopped-{number}"
        sweep = subprocess.Popen(
            [str(FACEKIT), "ablate", "stopped.yaml", "--out", str(out), "--threads", "1", *rarely],
            cwd=workplace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deadline = time.monotonic() + 120
            while not [run for run in out.glob("runs/*/metrics.jsonl") if '"train"' in run.read_text("utf-8")]:
                assert sweep.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            sweep.send_signal(number)
            _, error = sweep.communicate(timeout=120)
        finally:
            sweep.kill()
        (run,) = _runs(out).values()
        while _lines(run)[-1]["event"] != "interrupted":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert list((run / "checkpoints").iterdir()), "it saved a checkpoint"
        if number == signal.SIGINT:
            assert sweep.returncode == 130
            assert "Go on: facekit ablate stopped.yaml" in error
        planned = json.loads(facekit("ablate", "stopped.yaml", "--out", out, *rarely, "--dry-run", "--json").out)
        assert planned[0]["plan"].startswith("go on from step ")


def test_a_cell_that_fails_does_not_stop_the_rest(within: Callable[..., Any], workplace: Path, here: None) -> None:
    text = ONE_RUN.replace("  full model:\n", "  full model: {set: {train.optimiser.lr: 1e30}}\n")
    (workplace / "failing.yaml").write_text(text + "  copy the reference: {baseline: copy_reference}\n")
    out = workplace / "failing"
    first = within("ablate", "failing.yaml", "--out", out)
    assert first.code == 1, first.err
    assert "1 of 2 done, 1 failed" in first.err
    assert "failed: full model, seed 0: " in first.err
    table = (out / "table.md").read_text("utf-8")
    assert "0 of 1 (1 failed)" in table
    assert "full model, seed 0: " in table
    assert "not finite" in table or "is nan" in table or "is inf" in table
    assert "<b>full model, seed 0 failed.</b>" in (out / "index.html").read_text("utf-8")
    assert ("copy the reference", "psnr") in _numbers(out)
    again = within("ablate", "failing.yaml", "--out", out)
    assert "left to do" not in again.err, "it is not tried again unasked"
    assert again.out == first.out
    retried = within("ablate", "failing.yaml", "--out", out, "--retry")
    assert "1 of 2 runs are left to do" in retried.err
    assert retried.code == 1


def test_checkpoints_can_go_once_a_run_is_measured(within: Callable[..., Any], workplace: Path, here: None) -> None:
    (workplace / "kept.yaml").write_text(ONE_RUN + "keep: none\n")
    out = workplace / "kept"
    assert within("ablate", "kept.yaml", "--out", out).code == 0
    (run,) = _runs(out).values()
    assert not (run / "checkpoints").exists()
    assert (run / "report.html").is_file()
    assert ("full model", "psnr") in _numbers(out)
    assert "left to do" not in within("ablate", "kept.yaml", "--out", out).err
    (workplace / "kept.yaml").write_text(ONE_RUN.replace("{use: psnr}", "{use: ssim}") + "keep: none\n")
    otherwise = within("ablate", "kept.yaml", "--out", out)
    assert otherwise.code == 1
    assert "the checkpoints of this run were deleted once it was measured" in otherwise.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablate", "toy.yaml", "--executor", "lokal"], "no executor is called 'lokal'"),
        (["ablate", "toy.yaml", "--workers", "0"], "--set executor.workers=0"),
        (["ablate", "toy.yaml", "--set", "executor.partition=gpu"], "unknown key 'partition'"),
        (["ablate", "toy.yaml", "--only", "ful model"], "did you mean 'full model'?"),
        (["ablate", "toy.yaml", "--seeds", "x"], "seeds are written like 0,1,2 or 0-4"),
        (["ablate", "tiny.yaml"], "needs the version of the grid format"),
        (["compare", "toy"], "a comparison takes two runs or more"),
        (["compare", "toy.yaml", "toy"], "this is not a run folder"),
        (["run", "toy.yaml"], "run it with `facekit ablate`"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    within: Callable[..., Any], toy: tuple[Path, Any], arguments: list[str], message: str
) -> None:
    finished = within(*arguments)
    assert finished.code == 2
    assert message in finished.err
    assert "Traceback" not in finished.err


def test_the_whole_reference_table_at_toy_size(within: Callable[..., Any], workplace: Path, here: None) -> None:
    small = [
        *("data.size=64", "data.train=8", "data.validation=2", "data.test=4"),
        *("model.generator.filters=4", "model.discriminator.filters=4"),
        *("train.steps=2", "train.batch=2", "train.evaluate_every=null", "train.samples=1"),
    ]
    changes = [part for change in small for part in ("--set", change)]
    out = workplace / "reference_table"
    finished = within("ablate", "ablations/reference_table", "--out", out, "--seeds", "0", *changes)
    assert finished.code == 0, finished.err
    listed = json.loads(
        within("ablate", "ablations/reference_table", "--dry-run", "--json", "--out", out, *changes).out
    )
    rows = list(dict.fromkeys(entry["row"] for entry in listed))
    numbers = _numbers(out)
    assert {row for row, _ in numbers} == set(rows), "every row was measured"
    names = {name for _, name in numbers}
    assert set(numbers) == {(row, name) for row in rows for name in names}, "every cell has a number"
    with (out / "table.csv").open(encoding="utf-8") as stream:
        ids = {(line["measurement"], line["protocol_id"]) for line in csv.DictReader(stream)}
    assert len(ids) == len(names), "one protocol a column"
    table = (out / "table.md").read_text("utf-8")
    measured, published = table.split("## As published")
    assert "Figures of others, not measured here" in published
    for figure in ("63.54", "72.46", "48.85", "92.3"):
        assert figure in published
        assert figure not in measured
