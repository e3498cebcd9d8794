"""The benchmark program runs, and compares what computes the same. How long anything takes is not judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facekit.interfaces import Condition, Generated, Reference

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_every_section_is_measured_and_written(tmp_path: Path) -> None:
    shown = run("-m", "benchmarks", "--small", "--rounds", "1", "--out", str(tmp_path))
    document = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert text in shown
    for section, heading in {
        "training": "### Training",
        "inference": "### Painting one face",
        "data": "### Data",
        "start": "### Command start",
        "metrics": "### Metrics",
        "growth": "### Growth",
    }.items():
        assert document[section]
        assert heading in text
    row = document["training"]["rows"][0]
    assert row["precision"] in ("fp32", "bf16")
    assert row["operations_a_second"] > 0
    assert row["plain_peak_bytes"] > 1e8
    assert row["checkpointing"]["peak_bytes"] > 1e8
    assert "train.activation_checkpointing" in text
    # Untrained networks of the same weights paint the same; in bf16 nearly.
    assert document["inference"]["rows"][0]["largest_difference"] < 0.1
    assert document["data"]["scaled_decoding_decibels"]["smallest"] >= 50


@pytest.mark.parametrize("command", ["upsampling --rounds 1 --batch 1", "stargan_step --rounds 1 --size 32 --batch 2"])
def test_benchmarks_of_single_layers_run(command: str) -> None:
    document = json.loads(run("-m", f"benchmarks.{command.split()[0]}", *command.split()[1:]))
    assert any("times_as_fast" in name for name in document)


def test_the_launches_of_a_step_on_a_gpu_are_counted_and_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.launches import Launches, count_step
    from benchmarks.subjects import Case

    from facekit.recipe import read_recipe
    from facekit.registry import load_registry

    registry, file = load_registry(), Case(64, 2, filters=4).write(tmp_path)

    def count(*overrides: str) -> Launches:
        return count_step(read_recipe(file, registry=registry, overrides=overrides), registry=registry)

    shipped = count()
    assert shipped.total <= 950
    assert shipped.outside <= 260  # as many are left where networks are replayed as CUDA graphs
    assert shipped.found["casts"] <= 70  # of results, not of weights
    assert shipped.found["copies"] < count("train.channels_last=true").found["copies"]
    fp32 = count("train.precision=fp32").found
    assert shipped.found["convolutions and matrix products"] == fp32["convolutions and matrix products"]


def test_averaging_over_two_processes_is_measured_beside_torchs_own() -> None:
    found = json.loads(run("-m", "benchmarks.averaging", "--filters", "4", "--side", "4", "--rounds", "1"))
    assert set(found) == {"weights", "seconds", "overhead_ratio"}
    assert set(found["seconds"]) == {"alone", "ddp", "facekit"}


def test_every_benchmark_can_be_imported() -> None:
    names = [path.stem for path in ROOT.glob("benchmarks/*.py") if not path.stem.startswith("__")]
    assert len(names) > 10
    run("-c", "".join(f"import benchmarks.{name}\n" for name in names))


def test_the_plain_build_computes_what_facekit_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.plain import one_hot
    from benchmarks.subjects import Case, Facekit, Plain

    ours = Facekit.of(Case(64, 2, filters=4), tmp_path)
    plain = Plain(Case(64, 2, filters=4), ours)
    model, (photo, mask) = ours.training.model, ours.pictures(0)
    with torch.no_grad():
        painted = model.generate(Condition(mask, Reference(photo, mask))).image
        judged = [scale.logits for scale in model.discriminate(Generated(photo), Condition(mask)).scales]
        wanted = plain.training.paint(photo, mask)
        judged_plainly = [maps[-1] for maps in plain.training.discriminator(torch.cat((one_hot(mask), photo), 1))]
    tolerance = 1e-4 if ours.training.precision.name == "fp32" else 0.1
    for one, other in zip([painted, *judged], [wanted, *judged_plainly], strict=True):
        assert (one - other).abs().max() < tolerance
    # Before its first update the discriminator says the same; later the order of the updates differs.
    losses, plain_losses = ours.step(), plain.step()
    first, second = (found["discriminator/adversarial"] for found in (plain_losses, losses))
    assert first == pytest.approx(second, rel=1e-4 if tolerance < 0.1 else 0.05)
    assert plain_losses.keys() == losses.keys()
