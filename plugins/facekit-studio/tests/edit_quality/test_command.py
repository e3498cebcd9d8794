"""The command, on drawn faces with a small run of random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facekit.cli.main import cli
from facekit.inference import read_provenance
from facekit.report import write_report
from facekit_studio.kept_edits import further_results


@pytest.fixture(scope="module")
def call(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")

    def run(*more: str):
        arguments = ["evaluate-edits", str(small_run), "--data", "synthetic_faces", "--set", "train=12", "--set"]
        arguments += ["test=12", "--side", "256", "--limit", "4", "--device", "cpu", "-o", str(folder), *more]
        return folder, CliRunner().invoke(cli, arguments)

    return run


@pytest.fixture(scope="module")
def done(call):
    folder, result = call("--script", "close_mouth", "--script", "open_mouth")
    assert result.exit_code == 0, result.output
    return folder, result


def test_the_table_fits_a_terminal_and_says_what_is_absent(done):
    _, result = done
    table = [
        line
        for line in result.output.splitlines()
        if not line.startswith(("not measured", "numbers and", "the run keeps"))
    ]
    assert max(map(len, table)) <= 80
    assert "texture/fine/mouth" in result.output
    assert "paste nearest" in result.output.replace("\n", " ") or "nearest" in result.output
    assert "not measured: attribute: " in result.output


def test_the_file_has_every_photo_its_protocol_and_what_made_it(done):
    folder, _ = done
    document = json.loads((folder / "edits.json").read_text())
    assert document["run"]["weights_sha256"]
    assert document["run"]["fills_holes"] is False
    assert document["local"] is None
    assert document["date"].endswith("+00:00")
    assert document["data"]["component"].endswith("/synthetic_faces")
    assert [entry["script"] for entry in document["scripts"]] == ["close_mouth", "open_mouth"]
    for script in document["scripts"]:
        systems = {entry["system"]: entry for entry in script["results"]}
        assert {"run", "paste_nearest", "unedited"} <= set(systems)
        assert all(own["touched"] == 0 for own in systems["unedited"]["per_photo"].values())
        run = systems["run"]
        assert len({entry["protocol"] for entry in systems.values()}) == 1
        assert run["protocol_fields"]["script_sha256"]
        assert run["data_fingerprint"]
        assert all(own["outside_pixels"] == 0 for own in run["per_photo"].values())
        for entry in run["measurements"]:
            values = [own[entry["name"]] for own in run["per_photo"].values() if entry["name"] in own]
            assert not values or entry["value"] == pytest.approx(np.mean(values))
        measured = {entry["name"] for entry in run["measurements"]}
        for part in ("mouth", "lips") if script["script"] == "open_mouth" else ("lips", "skin"):
            assert (f"texture/fine/{part}" in measured) != (part in run["absent"])


def test_the_sheet_shows_the_photos_at_full_size_and_says_that_it_is_synthetic(done):
    folder, _ = done
    record = read_provenance(folder / "open_mouth.png")
    assert record is not None
    assert record["synthetic"]
    assert Image.open(folder / "open_mouth.png").width > 4 * 256


def test_the_run_keeps_them_and_its_report_shows_them(done, small_run):
    folder, result = done
    (file,) = (small_run / "edits").glob("step-00000007-test-ema-*.json")
    assert str(file) in result.output.replace("\n", "")
    assert json.loads(file.read_text()) == json.loads((folder / "edits.json").read_text())
    kept = {each.name: each for each in further_results(small_run)}
    made = kept["open_mouth"]
    assert (made.file, made.step, made.split, made.weights) == (file, 7, "test", "ema")
    assert made.about == "4 photos: 4 generated as a whole face by small"
    assert next(iter(made.results)) == "run"
    assert "paste_nearest" in made.results
    assert all(len(entry["samples"]) == len(entry["per_sample"]) for entry in made.results["run"]["measurements"])
    report = (small_run / "report.html").read_text()
    assert "4 photos: 4 generated as a whole face by small" in report
    for name in ("close_mouth", "open_mouth"):
        assert f'alt="edits by {name}"' in report
        sheet = file.with_suffix("") / f"{name}.png"
        assert read_provenance(sheet)["synthetic"]
        assert Image.open(sheet).width < 1000


def test_a_damaged_file_of_edits_is_told_in_the_report(done, small_run):
    damaged = small_run / "edits" / "step-00000001-test-ema-0.json"
    damaged.write_text("{")
    try:
        assert (
            "edits/step-00000001-test-ema-0.json: the evaluation cannot be read" in write_report(small_run).read_text()
        )
    finally:
        damaged.unlink()


def test_results_that_are_there_are_not_replaced(done, call):
    _, result = call("--script", "open_mouth")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--script", "opne_mouth"], "no script"),
        (["--split", "tset"], "no photos in a split"),
        (["--extractor", "vgg"], "no extractor"),
        (["--set", "label_map=celebamask_hq_merged"], "the run knows the classes of celebamask_hq"),
    ],
)
def test_mistakes_are_told(call, more, message):
    _, result = call("--overwrite", *more)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
