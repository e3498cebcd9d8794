from __future__ import annotations

import json
from pathlib import Path

import pytest

from facekit.data.store import PackedFaces
from facekit.evaluation import (
    Asked,
    EvaluationProgress,
    build_metrics,
    check_metrics,
    evaluate_baseline,
    evaluate_run,
    read_evaluation,
    validator,
)
from facekit.interfaces import Evaluated, FacekitError, RunEvent
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry
from facekit.training.loop import train
from facekit.training.open_data import open_data
from facekit.training.run.folder import RunFolder

RECIPE = """\
facekit: 1
name: tiny
data: {{use: tiny/faces, size: 16, cache: {cache}}}
model:
  style_encoder: {{use: tiny/encoder}}
  generator: {{use: tiny/painter}}
losses:
  generator: [{{use: tiny/l1}}]
metrics: [{{use: test/error}}]
train: {{steps: 4, batch: 4, precision: fp32, device: cpu, evaluate_every: 2, samples: 2, keep: {{best: error}}}}
"""


@pytest.fixture
def recipe(registry: Registry, tmp_path: Path) -> ResolvedRecipe:
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE.format(cache=tmp_path / "cache"), encoding="utf-8")
    return read_recipe(file, registry=registry)


@pytest.fixture
def run(recipe: ResolvedRecipe, registry: Registry, tmp_path: Path) -> Path:
    out = tmp_path / "run"
    train(recipe, out=out, registry=registry, evaluate=validator(recipe, registry=registry))
    return out


def lines(run: Path) -> list[dict]:  # type: ignore[type-arg]
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == "evaluation"]


def test_training_measures_the_validation_split(run: Path) -> None:
    found = lines(run)
    assert [line["step"] for line in found] == [2, 4]
    assert all(line["split"] == "validation" for line in found)
    assert found[0]["measurements"][0]["name"] == "error"
    assert found[0]["measurements"][0]["value"] != found[1]["measurements"][0]["value"]
    assert found[0]["protocol"] == found[1]["protocol"]


def test_a_run_and_the_baselines_are_measured_and_recorded(run: Path, registry: Registry) -> None:
    before = len(lines(run))
    events: list[RunEvent] = []
    results = evaluate_run(
        run, registry=registry, split="validation", baselines=True, device="cpu", observer=events.append
    )
    names = ["model", "copy_reference", "mean_colour_per_region", "nearest_training_photo_by_mask", "real_photos"]
    assert [result.system for result in results] == names
    assert results[1].measurement("error").value == 0
    assert len({result.protocol for result in results}) == 1
    found = lines(run)[before:]
    assert [line["weights"] for line in found] == ["ema", *(f"baseline/{name}" for name in names[1:])]
    assert [line["step"] for line in found] == [4] * 5
    assert [line["protocol"] for line in found] == [result.protocol for result in results]
    assert found[0]["protocol_fields"] == results[0].fields
    entry = found[0]["measurements"][0]
    assert entry["value"] == results[0].measurement("error").value
    assert entry["interval"] == list(results[0].intervals["error"])
    assert [type(event) for event in events] == [Evaluated] * 5
    stored = [read_evaluation(file) for file in sorted((run / "evaluations").glob("*.json"))]
    assert {evaluation.weights: evaluation.measurements["error"].per_sample for evaluation in stored} == {
        result.weights: result.measurement("error").per_sample for result in results
    }
    assert all(len(evaluation.pictures["reconstruction"]) for evaluation in stored)


def test_it_measures_as_training_did(run: Path, registry: Registry) -> None:
    (result,) = evaluate_run(run, registry=registry, split="validation", device="cpu", record=False)
    last = lines(run)[-1]
    assert last["measurements"][0]["value"] == pytest.approx(result.measurement("error").value, abs=1e-6)
    assert last["protocol"] == result.protocol
    assert len(lines(run)) == 2


def test_weights_and_limit(run: Path, registry: Registry) -> None:
    average, live = (
        evaluate_run(run, registry=registry, split="validation", device="cpu", weights=weights, record=False)[0]  # type: ignore[arg-type]
        for weights in ("ema", "live")
    )
    assert (average.weights, live.weights) == ("ema", "live")
    assert average.measurement("error").value != live.measurement("error").value
    (short,) = evaluate_run(run, registry=registry, split="validation", device="cpu", limit=2, record=False)
    assert short.measurement("error").count == 2
    assert short.protocol != average.protocol


def test_metrics_are_given_real_photos(registry: Registry, tmp_path: Path) -> None:
    text = RECIPE.format(cache=tmp_path / "cache")
    file = tmp_path / "photos.yaml"
    file.write_text(text.replace("{use: test/error}", "{use: test/error}, {use: test/photos_read}"), encoding="utf-8")
    recipe = read_recipe(file, registry=registry)
    out = tmp_path / "photos"
    train(recipe, out=out, registry=registry, evaluate=validator(recipe, registry=registry))
    packed = open_data(recipe, registry)
    for line in lines(out):
        (found,) = (entry for entry in line["measurements"] if entry["name"] == "photos_read")
        assert (found["value"], found["count"]) == (len(packed.rows("validation")),) * 2
        assert found["protocol"] == {"split": "validation"}
    told: list[EvaluationProgress] = []
    (result,) = evaluate_run(
        out, registry=registry, split="train", limit=3, device="cpu", record=False, progress=told.append
    )
    assert (result.measurement("photos_read").value, result.measurement("photos_read").count) == (3, 3)
    assert EvaluationProgress("real photos of train", 3, 3) in told


def test_a_split_that_is_not_there_is_told_before_training(registry: Registry, tmp_path: Path) -> None:
    text = RECIPE.format(cache=tmp_path / "cache").replace("test/error}]", "test/photos_read, split: trian}]")
    file = tmp_path / "photos.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FacekitError, match=r"split 'trian'\n  did you mean 'train'"):
        check_metrics(read_recipe(file, registry=registry), registry=registry)
    assert not (tmp_path / "cache").exists()


def test_exception(run: Path, registry: Registry, recipe: ResolvedRecipe, tmp_path: Path, packed: PackedFaces) -> None:
    with pytest.raises(FacekitError, match="not a run folder"):
        evaluate_run(tmp_path / "nothing", registry=registry)
    with pytest.raises(FacekitError, match="no 'test' split; it has train, validation"):
        evaluate_run(run, registry=registry, device="cpu")
    folder = RunFolder(run)
    folder.write_lock({**folder.read_lock(), "data_fingerprint": "another"})
    with pytest.raises(FacekitError, match="not what this run was trained on"):
        evaluate_run(run, registry=registry, split="validation", device="cpu")
    from dataclasses import replace

    with pytest.raises(FacekitError, match="names no metrics"):
        build_metrics(replace(recipe, metrics=()), packed)


def test_a_damaged_lock_is_read_from_the_checkpoint(
    run: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    sound = evaluate_run(run, registry=registry, split="validation", device="cpu", record=False)
    (run / "lock.json").write_text("{", encoding="utf-8")
    again = evaluate_run(run, registry=registry, split="validation", device="cpu", record=False)
    assert [each.measurements for each in again] == [each.measurements for each in sound]
    assert "lock.json cannot be read" in caplog.text


def test_a_baseline_is_measured_as_beside_a_run(recipe: ResolvedRecipe, run: Path, registry: Registry) -> None:
    beside = evaluate_run(run, registry=registry, baselines=True, device="cpu", record=False, split="validation")[2]
    asked = Asked.of(recipe, split="validation")
    alone = evaluate_baseline("mean_colour_per_region", recipe, registry=registry, asked=asked, device="cpu")
    assert alone.measurement("error") == beside.measurement("error")
    assert alone.ids == beside.ids
    assert alone.weights == "baseline/mean_colour_per_region"
    assert len(alone.pictures["reconstruction"]) > 0


def test_other_metrics_can_be_measured_of_a_run(
    recipe: ResolvedRecipe, run: Path, registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(
        RECIPE.format(cache=tmp_path / "cache").replace("{use: test/error}", "{use: test/error}, {use: test/error}")
    )
    twice = read_recipe(file, registry=registry)
    with pytest.raises(FacekitError, match="two metrics measure 'error'"):
        evaluate_run(run, registry=registry, device="cpu", split="validation", metrics_of=twice)
