"""Tables: what stands in one column, what is said of a number, and every form it is written in."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facekit.evaluation.results import bootstrap_interval
from facekit.experiments.outputs import (
    csv_text,
    digest_of,
    latex,
    markdown,
    read_summary,
    with_spread,
    write_results,
)
from facekit.experiments.pictures import contact_sheet
from facekit.experiments.results import System, make_table
from facekit.experiments.settings import PublishedFigures

from .conftest import FIELDS, MakeSystem, measurement

GOOD = [20.0 + index * 0.5 for index in range(12)]
BAD = [value - 3 - 0.1 * index for index, value in enumerate(GOOD)]


def _shifted(values: list[float], by: float) -> list[float]:
    return [value + by for value in values]


def test_spread_over_seeds_and_interval_over_photos(make_system: MakeSystem) -> None:
    system = make_system(
        "ours",
        {0: [measurement("psnr", GOOD)], 1: [measurement("psnr", _shifted(GOOD, 1))]},
    )
    table = make_table([system], name="t", reference="ours")
    (column,) = table.columns
    entry = table.entries["ours", column]
    assert entry.values == (np.mean(GOOD), np.mean(GOOD) + 1)
    assert entry.mean == pytest.approx(np.mean(GOOD) + 0.5)
    assert entry.deviation == pytest.approx(np.sqrt(0.5))
    assert entry.interval == bootstrap_interval(_shifted(GOOD, 0.5)), "of the photos' means, not of 24 values"
    cost = table.costs["ours"]
    assert (cost.parameters, cost.generating, cost.steps, cost.batch, cost.seconds) == (
        2_500_000,
        2_000_000,
        40,
        4,
        21.0,
    )


def test_details_are_columns_only_where_they_are_named(make_system: MakeSystem) -> None:
    names = ("psnr", "follows/mean", "follows/hat", "iou/hat")
    details = {"follows/hat", "iou/hat"}
    system = make_system("ours", {0: [replace(measurement(name, GOOD), detail=name in details) for name in names]})

    def columns(*wanted: str) -> list[str]:
        return [each.name for each in make_table([system], name="t", reference="ours", columns=wanted or None).columns]

    assert columns() == ["psnr", "follows/mean"]
    assert columns("follows") == ["follows/mean"]
    assert columns("follows/hat", "psnr") == ["follows/hat", "psnr"]
    assert columns("iou") == ["iou/hat"]


def test_better_and_worse_follow_the_direction_of_the_measurement(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement("psnr", GOOD), measurement("fault", GOOD, better="lower")]})
    theirs = make_system("theirs", {0: [measurement("psnr", BAD), measurement("fault", BAD, better="lower")]})
    same = make_system("same", {0: [measurement("psnr", GOOD), measurement("fault", GOOD, better="lower")]})
    table = make_table([ours, theirs, same], name="t", reference="ours")
    psnr, fault = table.columns
    assert table.tests == 4
    assert table.entries["theirs", psnr].verdict == "worse"
    assert table.entries["theirs", fault].verdict == "better"
    assert table.entries["same", psnr].verdict == "not shown"
    assert table.entries["ours", psnr].verdict == "reference"
    assert table.best(psnr) == {"ours", "same"}
    assert table.best(fault) == {"theirs"}


def test_numbers_with_other_ids_are_refused_a_place_in_the_column(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement("psnr", GOOD)]})
    theirs = make_system("theirs", {0: [measurement("psnr", BAD)]})
    other_kernel = make_system("other kernel", {0: [measurement("psnr", BAD, kernel="nearest")]})
    other_data = make_system("other data", {0: [measurement("psnr", BAD)]}, fields={**FIELDS, "data": "def"})
    systems = [ours, theirs, other_kernel, other_data]
    table = make_table(systems, name="t", reference="ours")
    assert [column.name for column in table.columns] == ["psnr"] * 3
    assert len({column.id for column in table.columns}) == 3
    rows = {column.id: {row for row, other in table.entries if other == column} for column in table.columns}
    assert sorted(map(sorted, rows.values())) == [["other data"], ["other kernel"], ["ours", "theirs"]]
    assert {row for row, _ in table.entries if table.entries[row, _].verdict == "worse"} == {"theirs"}
    first = table.columns[0]
    assert rows[first.id] == {"ours", "theirs"}, "the id of most rows comes first"
    text = markdown(table)
    assert all(f"psnr (dB) ↑ [{column.id}]" in text for column in table.columns)


def test_seeds_of_one_row_under_two_protocols_are_not_averaged(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement("psnr", GOOD)], 1: [measurement("psnr", BAD, kernel="nearest")]})
    table = make_table([ours], name="t", reference="ours")
    assert sorted(table.entries["ours", column].mean for column in table.columns) == [np.mean(BAD), np.mean(GOOD)]
    assert {len(entry.values) for entry in table.entries.values()} == {1}


def test_numbers_that_are_no_mean_over_photos_are_shown_and_not_tested(make_system: MakeSystem) -> None:
    distance = [measurement("fd", GOOD, better="lower", per_sample=False)]
    systems = [make_system("ours", {0: distance, 1: distance}), make_system("theirs", {0: distance})]
    table = make_table(systems, name="t", reference="ours")
    assert table.tests == 0
    (column,) = table.columns
    assert table.entries["theirs", column].verdict == "not tested"
    assert table.entries["ours", column].interval is None
    assert table.entries["ours", column].deviation == 0


def test_columns_are_chosen_by_name_or_family(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement(name, GOOD) for name in ("psnr", "style/hair", "style/skin", "ssim")]})
    table = make_table([ours], name="t", reference="ours", columns=["style", "psnr"])
    assert [column.name for column in table.columns] == ["style/hair", "style/skin", "psnr"]
    kid = make_system("kid", {0: [measurement(name, GOOD) for name in ("kid", "kid/deviation")]})
    assert [column.name for column in make_table([kid], name="t", reference="kid", columns=["kid"]).columns] == ["kid"]


def test_real_photos_do_not_compete(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement("psnr", GOOD)]})
    theirs = make_system("theirs", {0: [measurement("psnr", BAD)]})
    real = make_system("real_photos", {None: [measurement("psnr", _shifted(GOOD, 50))]}, trained=False)
    table = make_table([ours, theirs, real], name="t", reference="ours")
    assert table.best(table.columns[0]) == {"ours"}


def test_every_form_has_every_number(make_system: MakeSystem, tmp_path: Path) -> None:
    ours = make_system("ours & co_1", {0: [measurement("psnr", GOOD)], 1: [measurement("psnr", _shifted(GOOD, 1))]})
    theirs = make_system("theirs", {0: [measurement("psnr", BAD)]}, errors={1: "the disk | is full"})
    copy = make_system("copy", {None: [measurement("psnr", GOOD)]}, trained=False)
    published = PublishedFigures(source="a paper", columns=("FID",), rows={"ours": (48.85,), "real": (None,)})
    systems = [ours, theirs, copy]
    table = make_table(systems, name="t", reference="ours & co_1")
    text = markdown(table, published)
    assert "| **ours & co_1** | **23.25 ± 0.71 [" in text
    assert "| theirs | 19.2 ▼ [" in text
    assert "▼" in text
    assert "1 of 2 (1 failed)" in text
    assert "theirs, seed 1: the disk | is full" in text
    assert "## As published" in text
    assert "Figures of others, not measured here: a paper." in text
    assert "| ours | 48.85 |" in text
    assert "48.85" not in text.split("## As published")[0]
    (column,) = table.columns
    assert f"| `psnr` | `{column.id}` |" in text

    lines = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [line["row"] for line in lines] == ["ours & co_1", "theirs", "copy"]
    assert float(lines[0]["mean"]) == pytest.approx(23.25)
    assert lines[0]["seeds"] == "2"
    assert lines[1]["verdict"] == "worse"
    assert {line["protocol_id"] for line in lines} == {column.id}

    written = latex(table)
    assert r"ours \& co\_1 & \textbf{23.25 $\pm$ 0.71}" in written
    assert r"$\blacktriangledown$" in written
    assert written.count("\\\\") == 4

    digest = digest_of(["x"], [])
    summary = write_results(
        tmp_path / "out", systems, digest=digest, name="t", reference="ours & co_1", kind="test", published=published
    )
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "ours &amp; co_1" in page
    assert "the disk | is full" in page
    assert "As published" in page
    assert "Which pairs were measured" in page
    assert "look of face-2" in page
    assert page.count("<svg") == 1, "the one loss, one curve a row"
    assert "data:image/webp;base64," in page
    assert read_summary(tmp_path / "out", digest) == summary
    assert read_summary(tmp_path / "out", digest_of(["y"], [])) is None
    (tmp_path / "out" / "table.md").unlink()
    assert read_summary(tmp_path / "out", digest) is None


def test_names_that_are_html_stay_text(make_system: MakeSystem, tmp_path: Path) -> None:
    hostile = '<img src=x onerror=alert(1)> & "quoted"'
    ours = replace(
        make_system("ours", {0: [measurement("psnr", GOOD)]}, errors={1: hostile}), name=hostile, note=hostile
    )
    published = PublishedFigures(source=hostile, note=hostile, columns=(hostile,), rows={hostile: (1.0,)})
    write_results(
        tmp_path,
        [ours],
        digest="",
        name=hostile,
        reference=hostile,
        kind=hostile,
        description=hostile,
        published=published,
        grid_text=hostile,
        commands=[(hostile, hostile)],
    )
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "p &lt; 0.05" in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt; &amp; &#34;quoted&#34;") >= 14


@pytest.mark.parametrize(
    ("value", "spread", "shown"),
    [
        (14.0719, 0.2771, ("14.07", "0.28")),
        (0.06319, 0.0073, ("0.0632", "0.0073")),
        (1234.56, 78.9, ("1,235", "79")),
        (0.5, 0.0, ("0.5", "0")),
        (0.5, None, ("0.5", "")),
        (3e-7, 2e-8, ("3e-7", "2e-08")),
        (5321.0, 456.0, ("5,321", "456")),
    ],
)
def test_numbers_have_the_digits_that_their_spread_allows(value: float, spread: float, shown: tuple[str, str]) -> None:
    assert with_spread(value, spread) == shown


def test_the_digest_changes_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    before = digest_of([], [file])
    file.write_text("1")
    after = digest_of([], [file])
    assert before != after
    assert after == digest_of([], [file])
    file.write_text("12")
    assert after != digest_of([], [file])


def test_the_sheet_has_a_row_for_a_face_and_a_column_for_a_system(make_system: MakeSystem) -> None:
    ours = make_system("ours", {0: [measurement("psnr", GOOD)]}, colour=100)
    theirs = make_system("theirs", {0: [measurement("psnr", GOOD)]}, colour=150)
    drawn = contact_sheet([ours, theirs], task="style_copy", faces=2)
    assert drawn is not None
    sheet, pairs = drawn
    assert pairs == [("face-0", "look of face-0"), ("face-2", "look of face-2")]
    pixels = np.asarray(sheet)
    last = pixels[-50]  # through the pictures of the last row, whose pixels are enlarged six times
    colours = [int(last[4 + column * 100 + 48, 0]) for column in range(5)]
    assert colours == [10, 20, 100, 150, 30], "mask, reference, the systems, photo"
    assert contact_sheet([ours], task="reconstruction", faces=2) is None


def test_the_sheet_shows_what_the_systems_read(make_system: MakeSystem) -> None:
    def colours(*systems: System) -> list[int]:
        drawn = contact_sheet(systems, task="style_copy", faces=2)
        assert drawn is not None
        line = np.asarray(drawn[0])[-50]
        return [int(line[at, 0]) for at in range(4 + 48, line.shape[0], 100)]

    noise = make_system("noise", {0: [measurement("psnr", GOOD)]}, colour=100, shows=("result",))
    masks = make_system("masks", {0: [measurement("psnr", GOOD)]}, colour=150, shows=("mask", "photo", "result"))
    assert colours(noise) == [100]
    assert colours(noise, masks) == [10, 100, 150, 30], "mask, the systems, photo"
