"""What a run folder keeps of edit quality: the last of each script, and damage."""

from __future__ import annotations

import json

import pytest

from facekit.evaluation.results import EvaluationResult
from facekit.interfaces import Measurement
from facekit_studio.kept_edits import FORMAT, further_results


def write(run, photos, *, step=40, date="2026-01-01"):
    """Write edit quality into a run folder; return the file."""
    values = tuple(photos.values())
    made = EvaluationResult(
        system="run",
        split="test",
        weights="ema",
        step=step,
        fields={"script": "open_mouth"},
        measurements=(Measurement("texture", sum(values) / len(values), "", "higher", {}, len(values), values),),
    )
    per_photo = {key: {"texture": value} for key, value in photos.items()}
    document = {
        "format": FORMAT,
        "date": date,
        "run": {"run": "first", "weights": "ema", "step": step},
        "local": {"run": "windows"},
        "data": {"component": "datasets/celebamask_hq"},
        "settings": {"split": "test"},
        "scripts": [
            {
                "script": "open_mouth",
                "notes": ["one face shows no lips"],
                "edited": {"locally": list(photos), "as_a_whole": []},
                "results": [{**made.document(), "absent": {}, "per_photo": per_photo}],
            },
            {"script": "longer_hair", "skipped": "no photo of test is one that it is made for"},
        ],
    }
    file = run / "edits" / f"step-{step:08d}-test-ema-{date}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_the_last_of_each_script_counts(tmp_path):
    write(tmp_path, {"a": 0.1, "b": 0.2}, date="2026-01-02")
    write(tmp_path, {"a": 0.5, "b": 0.6}, date="2026-01-01")
    hair, mouth = further_results(tmp_path)
    assert hair.skipped == "no photo of test is one that it is made for"
    (entry,) = mouth.results["run"]["measurements"]
    assert (entry["samples"], entry["per_sample"]) == (["a", "b"], [0.1, 0.2])
    assert mouth.about == "2 photos: 2 filled in as a part by windows"
    assert mouth.notes[-1] == "One face shows no lips."


@pytest.mark.parametrize("entry", ["edited", "results", "notes"])
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path, entry):
    write(tmp_path, {"a": 0.1})
    file = write(tmp_path, {"a": 0.1}, step=20)
    document = json.loads(file.read_text())
    del document["scripts"][0][entry]
    file.write_text(json.dumps(document))
    *sound, damaged = further_results(tmp_path)
    assert damaged.file == file
    assert f"{entry!r}" in damaged.damaged
    assert [each.step for each in sound] == [40, 40]
