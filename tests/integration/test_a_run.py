"""A run from the recipe to the report, as a user drives it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

Facekit = Callable[..., Any]


def _newest(run: Path) -> Path:
    return sorted((run / "checkpoints").iterdir())[-1]


def _faces(folder: Path, facekit: Facekit) -> Path:
    faces = folder / "faces"
    if not faces.exists():
        counts = ("--set", "train=2", "--set", "validation=1", "--set", "test=1")
        done = facekit("data", "synthesise", "-o", faces, "--side", "32", *counts)
        assert done.code == 0, done.err
    return faces


def test_run_leaves_what_it_says(first_run: tuple[Path, Any]) -> None:
    run, finished = first_run
    document = json.loads(finished.out)
    assert document["outcome"] == "finished"
    assert (document["step"], document["steps"]) == (6, 6)
    assert Path(document["report"]).name == "report.html"
    systems = [evaluation["system"] for evaluation in document["evaluations"]]
    assert systems[0] == "model"
    assert len(systems) >= 3
    assert {evaluation["protocol"] for evaluation in document["evaluations"]} == {
        document["evaluations"][0]["protocol"]
    }
    own = document["evaluations"][0]
    assert (own["split"], own["weights"], own["step"]) == ("test", "ema", 6)
    assert {"style_following/skin", "psnr"} <= {entry["name"] for entry in own["measurements"]}
    for name in ("recipe.yaml", "lock.json", "metrics.jsonl", "report.html", "samples/step-00000006.png"):
        assert (run / name).is_file(), name
    assert [folder.name for folder in sorted((run / "checkpoints").iterdir())] == ["step-00000004", "step-00000006"]
    assert "Traceback" not in finished.err
    assert "step 6/6" in finished.err
    assert "validation: " in finished.err
    lock = json.loads((run / "lock.json").read_text())
    assert lock["command"] == "facekit run tiny.yaml --out runs/first"


def test_the_report_holds_the_measurements_and_pictures(first_run: tuple[Path, Any]) -> None:
    run, finished = first_run
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Mean colour per region" in text
    assert json.loads(finished.out)["evaluations"][0]["protocol"] in text
    assert text.count("data:image/") == len(list((run / "samples").iterdir()))
    assert "http://" not in text
    assert "https://" not in text
    assert "finished" in text


def test_run_for_people_prints_a_table_and_paths(inside: Facekit, workplace: Path) -> None:
    short = ("--set", "train.steps=1", "--set", "train.evaluate_every=null")
    finished = inside("run", "tiny.yaml", *short)
    assert finished.code == 0, finished.err
    lines = finished.out.splitlines()
    heading = next(line for line in lines if line.startswith("MEASUREMENT"))
    assert "ema weights" in heading
    assert any("mean colour" in line for line in lines)
    assert any(line.startswith("psnr (dB) ↑") for line in lines)
    assert "run:      runs/tiny-1" in lines
    assert "results go to runs/tiny-1" in finished.err
    assert (workplace / "runs" / "tiny-1" / "report.html").is_file()


def test_a_longer_run_says_first_how_much_memory_it_takes(
    inside: Facekit, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ("--set", "train.steps=2", "--set", "train.evaluate_every=null", "--set", "metrics=[]")
    finished = inside("run", "tiny.yaml", *short, "--out", "runs/short")
    assert "memory:" not in finished.err

    monkeypatch.setattr("facekit.cli.run.STEPS_WORTH_AN_ESTIMATE", 2)
    finished = inside("run", "tiny.yaml", *short, "--out", "runs/plenty")
    assert finished.code == 0, finished.err
    assert re.search(r"memory:  about [\d.]+ [MG]iB at the peak\n", finished.err)
    assert "warning" not in finished.err
    without, with_estimate = (
        load_file(_newest(workplace / "runs" / name) / "live.safetensors") for name in ("short", "plenty")
    )
    assert all(np.array_equal(without[key], with_estimate[key]) for key in without)

    monkeypatch.setattr("facekit.training.memory.available_memory", lambda: 100 << 10)
    finished = inside("run", "tiny.yaml", *short, "--out", "runs/little")
    assert finished.code == 0, finished.err
    assert "warning: only 100 KiB are free" in finished.err


def test_run_into_a_folder_that_holds_a_run_of_another_recipe_is_refused(
    inside: Facekit, first_run: tuple[Path, Any]
) -> None:
    run, _ = first_run
    before = (run / "report.html").read_bytes()
    finished = inside("run", "tiny.yaml", "--set", "train.seed=7", "--out", run)
    assert finished.code == 2
    assert "Traceback" not in finished.err
    assert str(run) in finished.err
    assert (run / "report.html").read_bytes() == before


def test_interrupt_saves_and_resume_gives_the_same_weights(
    facekit: Facekit, first_run: tuple[Path, Any], workplace: Path, environment: dict[str, str]
) -> None:
    finished_run, _ = first_run
    run = workplace / "runs" / "interrupted"
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("facekit")), "run", "tiny.yaml", "--out", str(run)],
        cwd=workplace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "step-00000002").is_dir() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the run ended before the interrupt reached it")
    assert process.returncode == 130
    assert f"resume:  facekit resume {run}" in err
    assert "Traceback" not in err
    assert "interrupted" in (run / "report.html").read_text(encoding="utf-8")

    resumed = facekit("resume", run)
    assert resumed.code == 0, resumed.err
    assert f"run:      {run}" in resumed.out
    for name in ("live", "ema"):
        expected = load_file(_newest(finished_run) / f"{name}.safetensors")
        found = load_file(_newest(run) / f"{name}.safetensors")
        assert expected.keys() == found.keys()
        assert all(np.array_equal(expected[key], found[key]) for key in expected)


def test_resume_of_no_run(inside: Facekit, workplace: Path) -> None:
    finished = inside("resume", workplace)
    assert finished.code == 2
    assert "not a run folder" in finished.err


def test_evaluate_writes_into_the_run(inside: Facekit, first_run: tuple[Path, Any]) -> None:
    run, _ = first_run
    finished = inside("evaluate", run, "--split", "validation", "--weights", "live", "--no-baselines", "--json")
    assert finished.code == 0, finished.err
    (found,) = json.loads(finished.out)
    assert (found["split"], found["weights"]) == ("validation", "live")
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["protocol"] == found["protocol"]
    assert found["protocol"] in (run / "report.html").read_text(encoding="utf-8")


def test_evaluate_with_the_metrics_of_another_recipe(
    inside: Facekit, first_run: tuple[Path, Any], workplace: Path
) -> None:
    run, _ = first_run
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    assert [metric["use"].split("/")[1].split("@")[0] for metric in recipe["metrics"]] != ["ssim"]
    other = workplace / "other.yaml"
    other.write_text(yaml.safe_dump({**recipe, "metrics": [{"use": "ssim"}]}), encoding="utf-8")
    finished = inside("evaluate", run, "--metrics-of", other, "--no-baselines", "--limit", "2", "--json")
    assert finished.code == 0, finished.err
    (found,) = json.loads(finished.out)
    assert [entry["name"] for entry in found["measurements"]] == ["ssim"]


def test_evaluate_of_a_split_that_is_not_there(inside: Facekit, first_run: tuple[Path, Any]) -> None:
    finished = inside("evaluate", first_run[0], "--split", "tset")
    assert finished.code == 2
    assert "'tset'" in finished.err
    assert "Traceback" not in finished.err


def test_generate_one_picture_and_folders(
    facekit: Facekit, inside: Facekit, first_run: tuple[Path, Any], workplace: Path
) -> None:
    run, _ = first_run
    faces = _faces(workplace, inside)
    masks = sorted((faces / "masks").iterdir())
    photos = sorted((faces / "photos").iterdir())
    reference = ("--reference", photos[0], "--reference-mask", masks[0])
    one = facekit("generate", run, "--mask", masks[1], *reference, "-o", "one.png")
    assert one.code == 0, one.err
    assert "generating with the ema weights of step 6" in one.err
    with Image.open(workplace / "one.png") as picture:
        assert picture.size == (32, 32)
        assert picture.mode == "RGB"

    many = inside("generate", run, "--mask", faces / "masks", *reference, "-o", "many", "--json")
    assert many.code == 0, many.err
    assert [item["outcome"] for item in json.loads(many.out)["items"]] == ["written"] * len(masks)
    with Image.open(workplace / "many" / masks[1].name) as again, Image.open(workplace / "one.png") as picture:
        assert np.abs(np.asarray(again, dtype=int) - np.asarray(picture, dtype=int)).max() <= 1
    assert "4 were there" in inside("generate", run, "--mask", faces / "masks", *reference, "-o", "many").out


def test_generate_names_what_is_missing(inside: Facekit, first_run: tuple[Path, Any], workplace: Path) -> None:
    run, _ = first_run
    mask = sorted((_faces(workplace, inside) / "masks").iterdir())[0]
    for arguments, said in (
        (("--mask", mask), "--reference"),
        (("--mask", "nowhere.png", "--reference", mask, "--reference-mask", mask), "nowhere.png"),
        (("--mask", workplace / "tiny.yaml", "--reference", mask, "--reference-mask", mask), "tiny.yaml"),
    ):
        finished = inside("generate", run, *arguments, "-o", "x.png")
        assert finished.code == 2
        assert said in finished.err
        assert "Traceback" not in finished.err


def test_validate_climbs_the_ladder(inside: Facekit) -> None:
    finished = inside("validate", "tiny.yaml", "--steps", "2", "--json")
    assert finished.code == 0, finished.err
    document = json.loads(finished.out)
    assert document["stages"] == ["schema", "ports", "shapes", "steps"]
    assert document["dimensions"]["style"] == 256
    assert document["steps"]["steps"] == 2
    text = inside("validate", "tiny.yaml", "--steps").out
    assert [line.split()[1] for line in text.splitlines() if line.startswith("ok")] == document["stages"]


def test_report_of_a_run_that_moved(inside: Facekit, first_run: tuple[Path, Any], tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(first_run[0], moved)
    (moved / "report.html").unlink()
    finished = inside("report", moved)
    assert finished.code == 0, finished.err
    assert finished.out.strip() == str(moved / "report.html")
    assert (moved / "report.html").is_file()


def test_a_failing_run_keeps_its_reason_and_gets_a_report(inside: Facekit, workplace: Path) -> None:
    finished = inside("run", "tiny.yaml", "--out", "runs/diverges", "--set", "train.optimiser.lr=1e30")
    assert finished.code == 1
    assert "error: " in finished.err
    assert "the loss generator/" in finished.err
    assert "Traceback" not in finished.err
    text = (workplace / "runs" / "diverges" / "report.html").read_text(encoding="utf-8")
    assert "The run failed." in text


@pytest.mark.slow
def test_two_processes_train_together(workplace: Path, environment: dict[str, str]) -> None:
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "-m", "facekit"]

    def together(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*torchrun, *arguments], cwd=workplace, env=environment, capture_output=True, text=True, timeout=300
        )

    done = together("run", "tiny.yaml", "--out", "runs/two", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # the first process prints, the other does not
    assert document["outcome"] == "finished"
    assert done.stderr.count("training to step 6") == 1
    assert json.loads((workplace / "runs" / "two" / "lock.json").read_text())["processes"] == 2
    nameless = together("run", "tiny.yaml")
    assert nameless.returncode != 0
    assert "name their run folder with --out" in nameless.stderr
