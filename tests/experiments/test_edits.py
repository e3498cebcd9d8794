"""Edit quality in a comparison: which numbers count, what is paired, and where the tables stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facekit.evaluation.edits import FORMAT, read_edits
from facekit.evaluation.results import EvaluationResult
from facekit.experiments.edits import edit_tables, kept_files
from facekit.experiments.outputs import write_results
from facekit.experiments.results import Done, System
from facekit.experiments.tables import csv_text
from facekit.interfaces import FacekitError

from .conftest import MakeSystem, measurement

Photos = Mapping[str, float]
OURS = {f"face-{number:02d}": 0.2 + 0.02 * number for number in range(12)}
THEIRS = {key: value + 0.5 for key, value in OURS.items()}
OTHERS = {f"other-{number:02d}": 1.0 for number in range(12)}


def result(system: str, photos: Photos, *, side: str = "512") -> dict[str, Any]:
    """One system's result of a script, as it stands in a file."""
    made = EvaluationResult(
        system=system,
        split="test",
        weights="ema" if system == "run" else f"baseline/{system}",
        step=40 if system == "run" else 0,
        fields={"script": "open_mouth", "side": side},
        measurements=(measurement("texture/fine/lips", list(photos.values())),),
        intervals={"texture/fine/lips": (0.1, 0.9)},
    )
    own = {key: {"texture/fine/lips": value} for key, value in photos.items()}
    return {**made.document(), "absent": {}, "per_photo": own}


def keep(system: System, photos: Photos, *, step: int = 40, side: str = "512", date: str = "2026-01-01") -> Path:
    """Write edit quality into the folder of a row's run."""
    document = {
        "format": FORMAT,
        "date": date,
        "run": {"run": system.name, "weights": "ema", "step": step},
        "local": {"run": "windows"},
        "data": {"component": "datasets/celebamask_hq"},
        "settings": {"split": "test"},
        "scripts": [
            {
                "script": "open_mouth",
                "notes": [],
                "edited": {"locally": list(photos), "as_a_whole": []},
                "results": [
                    result("run", photos, side=side),
                    result("paste_nearest", THEIRS, side=side),
                    result("real_photos", OTHERS, side=side),
                ],
            },
            {"script": "longer_hair", "skipped": "no photo of test is one that it is made for"},
        ],
    }
    file = system.runs[0].folder / "edits" / f"step-{step:08d}-test-ema-{date}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


@pytest.fixture
def pair(make_system: MakeSystem) -> tuple[System, System]:
    return tuple(make_system(name, {0: [measurement("psnr", [20.0, 21.0, 22.0])]}) for name in ("ours", "theirs"))  # type: ignore[return-value]


def test_runs_stand_beside_each_other_then_the_baselines_then_real_photos(pair: tuple[System, System]) -> None:
    ours, theirs = pair
    keep(ours, OURS)
    keep(theirs, THEIRS)
    (table,) = edit_tables(pair, reference="ours")
    assert table.name == "Edits: open_mouth"
    assert [system.name for system in table.systems] == ["ours", "theirs", "paste nearest", "real photos"]
    (column,) = table.columns
    entries = {system.name: table.entries[system.name, column] for system in table.systems}
    assert entries["theirs"].verdict == "better", "the same photos are paired"
    assert entries["theirs"].difference == pytest.approx(0.5)
    assert entries["real photos"].verdict == "not tested", "real photos are others, of which there are as many"
    assert entries["real photos"].interval == (0.1, 0.9)
    assert table.systems[0].note == "12 photos: 12 filled in as a part by windows"
    assert table.best(column) == {"theirs", "paste nearest"}


def test_values_of_other_photos_are_no_pairs(pair: tuple[System, System]) -> None:
    keep(pair[0], OURS)
    # As many, but one face shows no lips in theirs, and another in ours.
    keep(pair[1], {**dict(list(THEIRS.items())[1:]), "face-99": 0.9})
    (table,) = edit_tables(pair, reference="ours")
    assert table.tests == 0
    assert table.entries["theirs", table.columns[0]].photos == 12


def test_other_protocols_have_a_column_and_baselines_of_their_own(pair: tuple[System, System]) -> None:
    keep(pair[0], OURS)
    keep(pair[1], THEIRS, side="256")
    (table,) = edit_tables(pair, reference="ours")
    assert len(table.columns) == 2
    assert all(column.other for column in table.columns)
    names = [system.name for system in table.systems]
    assert len(names) == len(set(names)) == 6


def test_only_edits_with_the_measured_weights_count_and_the_last_of_them(pair: tuple[System, System]) -> None:
    ours, theirs = pair
    keep(ours, OURS, date="2026-01-02")
    keep(ours, THEIRS, date="2026-01-01")
    keep(theirs, THEIRS, step=20)
    (table,) = edit_tables(pair, reference="ours")
    assert "theirs" not in [system.name for system in table.systems]
    assert table.entries["ours", table.columns[0]].mean == pytest.approx(sum(OURS.values()) / 12)
    assert len(kept_files(pair)) == 3


def test_they_are_in_every_form_of_the_comparison(pair: tuple[System, System], tmp_path: Path) -> None:
    keep(pair[0], OURS)
    out = tmp_path / "out"
    summary = write_results(out, pair, digest="x", name="t", reference="ours", kind="facekit comparison")
    assert list(summary["edits"]) == ["Edits: open_mouth"]
    assert "# Edits: open_mouth" in (out / "table.md").read_text()
    assert "ours,open_mouth/texture/fine/lips," in (out / "table.csv").read_text()
    assert (out / "table.tex").read_text().count(r"\begin{tabular}") == 2
    page = (out / "index.html").read_text()
    assert "Edits: open_mouth" in page
    assert "12 filled in as a part by windows" in page


def test_without_edits_nothing_is_said_of_them(pair: tuple[System, System], tmp_path: Path) -> None:
    assert edit_tables(pair, reference="ours") == ()
    summary = write_results(tmp_path / "out", pair, digest="x", name="t", reference="ours", kind="k")
    assert summary["edits"] == {}
    assert 'id="edits"' not in (tmp_path / "out" / "index.html").read_text()


def test_a_damaged_file_is_named(pair: tuple[System, System]) -> None:
    file = keep(pair[0], OURS)
    document = json.loads(file.read_text())
    del document["scripts"][0]["edited"]
    file.write_text(json.dumps(document))
    with pytest.raises(FacekitError, match="'edited'"):
        read_edits(file)
    with pytest.raises(FacekitError, match="'edited'"):
        edit_tables(pair, reference="ours")


def test_rows_that_failed_are_left_out(pair: tuple[System, System], tmp_path: Path) -> None:
    failed = replace(pair[1], runs=(Done(0, tmp_path / "none", None, "out of memory"),))
    keep(pair[0], OURS)
    (table,) = edit_tables((pair[0], failed), reference="ours")
    assert "out of memory" not in csv_text(table)
    assert table.systems[0].name == "ours"
