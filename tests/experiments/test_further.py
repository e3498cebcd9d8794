"""Results of plugins in a comparison: which numbers count, what is paired, and where the tables stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facekit.evaluation.results import EvaluationResult
from facekit.experiments.further import further_tables
from facekit.experiments.outputs import csv_text, write_results
from facekit.experiments.results import Done, System
from facekit.interfaces import FacekitError, FurtherResults

from .conftest import MakeSystem, measurement

Photos = Mapping[str, float]
OURS = {f"face-{number:02d}": 0.2 + 0.02 * number for number in range(12)}
THEIRS = {key: value + 0.5 for key, value in OURS.items()}
OTHERS = {f"other-{number:02d}": 1.0 for number in range(12)}


def result(system: str, photos: Photos, *, side: str = "512") -> dict[str, Any]:
    """One system's result of a script, as a plugin gives it."""
    made = EvaluationResult(
        system=system,
        split="test",
        weights="ema" if system == "run" else f"baseline/{system}",
        step=40 if system == "run" else 0,
        fields={"script": "open_mouth", "side": side},
        measurements=(measurement("texture/fine/lips", list(photos.values())),),
        intervals={"texture/fine/lips": (0.1, 0.9)},
    )
    document = {**made.document(), "pairs": {}, "pictures": {}}
    document["measurements"][0] |= {"per_sample": list(photos.values()), "samples": list(photos)}
    return document


class Kept:
    """What a plugin keeps of runs, by folder."""

    def __init__(self) -> None:
        self.results: dict[Path, list[FurtherResults]] = {}

    def __call__(self, system: System, photos: Photos, *, step: int = 40, side: str = "512") -> None:
        folder = system.runs[0].folder
        results = {
            "run": result("run", photos, side=side),
            "paste_nearest": result("paste_nearest", THEIRS, side=side),
            "real_photos": result("real_photos", OTHERS, side=side),
        }
        common: dict[str, Any] = {"section": "Edits", "file": folder / "edits.json", "split": "test", "weights": "ema"}
        skipped = FurtherResults(**common, step=40, name="longer_hair", skipped="no photo is one that it is made for")
        made = FurtherResults(**common, step=step, name="open_mouth", results=results, about="12 photos by windows")
        self.results[folder] = [made, skipped]


@pytest.fixture
def keep() -> Kept:
    return Kept()


@pytest.fixture
def pair(make_system: MakeSystem) -> tuple[System, System]:
    return tuple(make_system(name, {0: [measurement("psnr", [20.0, 21.0, 22.0])]}) for name in ("ours", "theirs"))  # type: ignore[return-value]


def test_runs_stand_beside_each_other_then_the_baselines_then_real_photos(
    pair: tuple[System, System], keep: Kept
) -> None:
    ours, theirs = pair
    keep(ours, OURS)
    keep(theirs, THEIRS)
    (table,) = further_tables(pair, keep.results, reference="ours")
    assert table.name == "Edits: open_mouth"
    assert [system.name for system in table.systems] == ["ours", "theirs", "paste nearest", "real photos"]
    (column,) = table.columns
    entries = {system.name: table.entries[system.name, column] for system in table.systems}
    assert entries["theirs"].verdict == "better", "the same photos are paired"
    assert entries["theirs"].difference == pytest.approx(0.5)
    assert entries["real photos"].verdict == "not tested", "real photos are others, of which there are as many"
    assert entries["real photos"].interval == (0.1, 0.9)
    assert table.systems[0].note == "12 photos by windows"
    assert table.best(column) == {"theirs", "paste nearest"}


def test_values_of_other_photos_are_no_pairs(pair: tuple[System, System], keep: Kept) -> None:
    keep(pair[0], OURS)
    # As many, but one face shows no lips in theirs, and another in ours.
    keep(pair[1], {**dict(list(THEIRS.items())[1:]), "face-99": 0.9})
    (table,) = further_tables(pair, keep.results, reference="ours")
    assert table.tests == 0
    assert table.entries["theirs", table.columns[0]].photos == 12


def test_other_protocols_have_a_column_and_baselines_of_their_own(pair: tuple[System, System], keep: Kept) -> None:
    keep(pair[0], OURS)
    keep(pair[1], THEIRS, side="256")
    (table,) = further_tables(pair, keep.results, reference="ours")
    assert len(table.columns) == 2
    assert all(column.other for column in table.columns)
    names = [system.name for system in table.systems]
    assert len(names) == len(set(names)) == 6


def test_only_results_of_the_measured_weights_count(pair: tuple[System, System], keep: Kept) -> None:
    keep(pair[0], OURS)
    keep(pair[1], THEIRS, step=20)
    (table,) = further_tables(pair, keep.results, reference="ours")
    assert "theirs" not in [system.name for system in table.systems]
    assert table.entries["ours", table.columns[0]].mean == pytest.approx(sum(OURS.values()) / 12)


def test_they_are_in_every_form_of_the_comparison(pair: tuple[System, System], keep: Kept, tmp_path: Path) -> None:
    keep(pair[0], OURS)
    out = tmp_path / "out"
    summary = write_results(
        out, pair, digest="x", name="t", reference="ours", kind="facekit comparison", further=keep.results
    )
    assert list(summary["further"]) == ["Edits: open_mouth"]
    assert "# Edits: open_mouth" in (out / "table.md").read_text()
    assert "ours,open_mouth/texture/fine/lips," in (out / "table.csv").read_text()
    assert (out / "table.tex").read_text().count(r"\begin{tabular}") == 2
    page = (out / "index.html").read_text()
    assert '<section id="edits"><h2>Edits</h2>' in page
    assert "Edits: open_mouth" in page
    assert "12 photos by windows" in page


def test_without_them_nothing_is_said(pair: tuple[System, System], tmp_path: Path) -> None:
    assert further_tables(pair, {}, reference="ours") == ()
    summary = write_results(tmp_path / "out", pair, digest="x", name="t", reference="ours", kind="k")
    assert summary["further"] == {}
    assert 'id="edits"' not in (tmp_path / "out" / "index.html").read_text()


def test_damaged_results_are_named(pair: tuple[System, System], keep: Kept, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    damaged = FurtherResults(section="Edits", name="edits.json", file=file, damaged="it has no 'edited'")
    with pytest.raises(FacekitError, match="'edited'"):
        further_tables(pair, {pair[0].runs[0].folder: [damaged]}, reference="ours")
    keep(pair[0], OURS)
    made = keep.results[pair[0].runs[0].folder][0]
    del made.results["run"]["step"]  # type: ignore[attr-defined]
    with pytest.raises(FacekitError, match="'step'"):
        further_tables(pair, keep.results, reference="ours")


def test_rows_that_failed_are_left_out(pair: tuple[System, System], keep: Kept, tmp_path: Path) -> None:
    failed = replace(pair[1], runs=(Done(0, tmp_path / "none", None, "out of memory"),))
    keep(pair[0], OURS)
    (table,) = further_tables((pair[0], failed), keep.results, reference="ours")
    assert "out of memory" not in csv_text(table)
    assert table.systems[0].name == "ours"
