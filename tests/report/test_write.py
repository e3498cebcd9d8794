"""The report of finished, stopped, failed and damaged runs: well-formed, self-contained, and true to the files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facekit.evaluation.results import EvaluationResult
from facekit.evaluation.store import write_evaluation
from facekit.interfaces import FacekitError, Measurement
from facekit.report import write_report
from facekit.report.results import results_tables
from facekit.training.run.reading import read_run

Make = Callable[..., Path]
Events = Callable[..., dict[str, Any]]

VOID = {"meta", "img", "input", "br", "link", "hr"}
SVG_EMPTY = {"line", "path", "rect"}
HOSTILE = '</title><script>alert("x")</script><img src=x onerror=alert(1)> & "quoted" \'single\''


class Page(HTMLParser):
    """Reads a page, checks that every tag is closed in order, and collects what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        self.references += [str(values[name]) for name in ("src", "href", "data", "action") if name in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_EMPTY | VOID, f"<{tag}/> is not closed in HTML"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """Everything a reader sees, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))


def read(run: Path) -> tuple[str, Page]:
    """Write the report and read it, with what must hold of every report."""
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert all(reference.startswith(("data:image/", "#")) for reference in page.references)
    # Neither the style nor the script asks for anything.
    code = re.sub(r"data:image/[^\"]*", "", text)
    assert not re.search(r"https?://|url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(|sendBeacon|WebSocket", code)
    policies = [values.get("content") or "" for tag, values in page.tags if tag == "meta" and "http-equiv" in values]
    assert policies
    assert policies[0].startswith("default-src 'none'")
    return text, page


def test_a_finished_run(make_run: Make) -> None:
    run = make_run()
    _, page = read(run)
    for part in (
        "finished",
        "step 1,200 of 1,200",
        "EMA weights",
        "Style following · skin",
        "Mean colour per region",
        "Nearest training photo",
        "[0.88, 0.94]",
        "5f0c1a9be2d4",
        "22,031,107",
        "2.14.1",
        "facekit-sft-pix2pixhd",
        "b1946ac92492d2347c6235b4d2611184",
        "facekit run recipes/sft_pix2pixhd.yaml",
        f"facekit generate {run}",
        "photos a second",
        "objective",
        "Changes with reference",
        "Learning rates",
    ):
        assert part in page.text, part
    assert "facekit resume" not in page.text
    samples = [values for tag, values in page.tags if tag == "img"]
    assert [int(values["data-step"] or 0) for values in samples] == [200, 400, 600, 800, 1000, 1200]
    assert [("hidden" in values) for values in samples] == [True] * 5 + [False]
    charts = [json.loads(values["data-chart"] or "") for tag, values in page.tags if "data-chart" in values]
    names = [series["name"] for chart in charts for series in chart["series"]]
    assert {"feature_matching", "mean absolute change", "style_encoder", "skin"} <= set(names)


def test_the_pairs_behind_the_results(make_run: Make) -> None:
    run = make_run()
    protocol = {"data": "abc", "split": "test", "task_seed": "5"}
    pairs = {
        "reconstruction": (("face-1", "face-1"),),
        "style_copy": (("face-1", "look <1>"), ("face-2", "look-2")),
        "attribute_transfer/Smiling": (("face-3", "look-3"),),
    }
    for step, weights, kept in [(300, "ema", {}), (1200, "ema", pairs), (1200, "baseline/copy_reference", {})]:
        result = EvaluationResult(
            "model", "test", weights, step, protocol, (Measurement("psnr", 1.0, "dB", "higher", {}, 2),), pairs=kept
        )
        write_evaluation(result, run / "evaluations" / f"step-{step:08d}-test-{weights.replace('/', '-')}-1.json")
    events = (run / "metrics.jsonl").read_text("utf-8").replace("5f0c1a9be2d4", result.protocol)
    (run / "metrics.jsonl").write_text(events, "utf-8")
    _, page = read(run)
    for part in (
        "Drawn with seed 5",
        "each face from its own mask in its own look (1)",
        "look <1>",
        "Attribute transfer · Smiling",
    ):
        assert part in page.text, part

    newest = run / "evaluations" / "step-00001200-test-ema-1.json"
    newest.write_text("{", "utf-8")
    _, page = read(run)
    assert "Drawn with seed" not in page.text
    assert "evaluations/step-00001200-test-ema-1.json: the evaluation cannot be read" in page.text


def test_curves_are_the_values_of_the_run(make_run: Make) -> None:
    run = make_run(steps=100, every=20)
    _, page = read(run)
    rates = [json.loads(values["data-chart"] or "") for tag, values in page.tags if "data-chart" in values]
    chart = next(chart for chart in rates if {"style_encoder", "generator"} == {s["name"] for s in chart["series"]})
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    expected = [line["learning_rates"]["style_encoder"] for line in lines if line["event"] == "train"]
    series = next(series for series in chart["series"] if series["name"] == "style_encoder")
    assert series["steps"] == [20, 40, 60, 80, 100]
    assert series["values"] == pytest.approx(expected, rel=1e-4)


def test_names_that_are_html_stay_text(make_run: Make) -> None:
    lock = {"command": HOSTILE, "plugins": {HOSTILE: HOSTILE}, "parameters": {HOSTILE: 3}, "device": HOSTILE}
    run = make_run(name=HOSTILE, lock=lock, ending={"event": "failed", "step": 3, "message": HOSTILE})
    with (run / "metrics.jsonl").open("a") as stream:
        losses = {f"generator/{HOSTILE}": 1.0}
        stream.write(json.dumps({"event": "train", "step": 1300, "losses": losses}) + "\n")
        stream.write(json.dumps({"event": "warning", "step": HOSTILE, "message": HOSTILE}) + "\n")
        measured = {"name": HOSTILE, "value": 1.0, "unit": HOSTILE, "better": HOSTILE, "protocol": {HOSTILE: HOSTILE}}
        event = {"event": "evaluation", "step": 3, "split": HOSTILE, "weights": HOSTILE, "protocol": HOSTILE}
        stream.write(json.dumps({**event, "protocol_fields": {HOSTILE: HOSTILE}, "measurements": [measured]}) + "\n")
    text, page = read(run)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert all(not name.startswith("on") for _, values in page.tags for name in values)
    assert "<img src=x" not in text
    assert HOSTILE.split("&")[0].strip() in page.text


def test_a_failed_run_says_why(make_run: Make) -> None:
    ending = {"event": "failed", "step": 340, "message": "the loss generator/adversarial is not finite at step 341"}
    _, page = read(make_run(ending=ending))
    assert "The run failed. the loss generator/adversarial is not finite" in page.text
    assert "facekit resume" in page.text


def test_a_run_that_was_killed_is_unfinished(make_run: Make) -> None:
    run = make_run()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:10]) + '\n{"event": "train", "ste')
    _, page = read(run)
    assert "unfinished" in page.text
    assert "the last line of metrics.jsonl is not whole" in page.text
    assert "Nothing has been measured yet." in page.text


@pytest.mark.parametrize("missing", ["recipe.yaml", "lock.json", "metrics.jsonl", "samples", "checkpoints"])
def test_a_run_without_one_of_its_parts(make_run: Make, missing: str) -> None:
    import shutil

    run = make_run()
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    _, page = read(run)
    if missing.endswith(("yaml", "json", "jsonl")):
        assert f"{missing} cannot be read" in page.text


@pytest.mark.parametrize("part", ["recipe.yaml", "lock.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2", b"{", b"null", b"- a\n- b", b"{a: &x [*x]}"])
def test_a_run_with_a_damaged_part(make_run: Make, part: str, content: bytes) -> None:
    run = make_run(steps=60, samples=1)
    (run / part).write_bytes(content)
    read(run)


def test_values_of_the_wrong_kind_are_passed_over(make_run: Make) -> None:
    run = make_run(steps=60, samples=1)
    odd: list[object] = [
        {"event": "train", "step": "many", "losses": {"generator/a": 1}},
        {"event": "train", "step": 70, "losses": [1, 2], "learning_rates": None, "seconds_per_step": "fast"},
        {"event": "train", "step": 71, "losses": {"generator/a": None, "generator/b": "NaN", "generator/c": True}},
        {"event": "evaluation", "step": None, "split": None, "measurements": [None, 3, {"value": 1}, {"name": "x"}]},
        {"event": "evaluation", "step": 3, "measurements": "none"},
        {"event": "evaluation", "step": 3, "measurements": [{"name": "y", "value": None, "interval": [None, 1]}]},
        {"event": None},
        [],
        7,
    ]
    with (run / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in odd)
    read(run)


def test_a_damaged_sample_is_named_and_left_out(make_run: Make) -> None:
    run = make_run(samples=3)
    newest = sorted((run / "samples").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    (run / "samples" / "step-00000001.png").write_text("not a picture")
    _, page = read(run)
    assert f"samples/{newest.name} cannot be read" in page.text
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 2


def test_a_sample_that_the_page_has_no_room_for_is_named(make_run: Make) -> None:
    run = make_run(samples=3)
    Image.new("RGB", (4, 17_000)).save(run / "samples" / "step-00000001.png")
    _, page = read(run)
    assert "samples/step-00000001.png cannot be shown" in page.text


def test_many_samples_are_thinned_but_the_first_and_last_stay(make_run: Make) -> None:
    run = make_run(steps=1200, samples=60)
    _, page = read(run)
    steps = [int(values["data-step"] or 0) for tag, values in page.tags if tag == "img"]
    assert len(steps) == 24
    assert (steps[0], steps[-1]) == (20, 1200)


def test_steps_done_again_after_a_resume_count_once(make_run: Make) -> None:
    run = make_run(steps=100, every=20)
    first = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    again = [
        {**line, "losses": {"generator/a": 9.0}} for line in first if line["event"] == "train" and line["step"] > 40
    ]
    with (run / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in [{"event": "resumed", "step": 40, "steps": 100}, *again])
    record = read_run(run)
    assert [line["step"] for line in record.training()] == [20, 40, 60, 80, 100]
    assert record.series("losses")["generator/a"] == [(60, 9.0), (80, 9.0), (100, 9.0)]
    assert record.series("losses")["generator/adversarial"][-1][0] == 40


def test_evaluations_of_different_protocols_are_never_in_one_table(make_run: Make) -> None:
    run = make_run()
    other = json.loads(next(line for line in (run / "metrics.jsonl").read_text().splitlines() if '"baseline/' in line))
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({**other, "protocol": "000000000000"}) + "\n")
    tables = results_tables(read_run(run))
    assert [(table.split, table.protocol) for table in tables] == [
        ("test", "5f0c1a9be2d4"),
        ("test", "000000000000"),
        ("validation", "5f0c1a9be2d4"),
    ]
    assert tables[0].columns[0].heading == "this run (EMA weights)"
    assert len(tables[0].columns) == 3
    assert len(tables[1].columns) == 1


def test_the_best_figure_of_a_row_is_marked(make_run: Make) -> None:
    text, _ = read(make_run())
    row = next(part for part in text.split("<tr>") if part.startswith("<td>Perceptual distance"))
    cells = re.findall(r'<td class="number( best)?">([\d.]+)', row)
    assert cells == [(" best", "0.412"), ("", "0.4578"), ("", "0.5886")]


def test_details_are_folded_and_are_no_tiles(make_run: Make, events_of: Events) -> None:
    run = make_run()
    event = events_of(1200)
    first = {**event["measurements"][0], "name": "style_following/hat", "detail": True}
    event["measurements"] = [first, *event["measurements"]]
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps(event) + "\n")
    text, _ = read(run)
    assert "Style following · hat" not in text[text.index('class="tiles"') : text.index("<table>")]
    before, folded = text.split("<details><summary>Single regions, classes and further measures: 1</summary>")
    assert "Style following · hat" not in before
    assert "Style following · hat" in folded
    assert "Style following · skin" in before


def test_real_photos_of_a_run_do_not_compete(make_run: Make, events_of: Events) -> None:
    run = make_run()
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps(events_of(1200, scale=2.0, weights="baseline/real_photos")) + "\n")
    text, page = read(run)
    row = next(part for part in text.split("<tr>") if part.startswith("<td>Perceptual distance"))
    cells = re.findall(r'<td class="number( best)?">([\d.]+)', row)
    assert cells == [(" best", "0.412"), ("", "0.4578"), ("", "0.5886"), ("", "0.206")]
    assert "photos of the training split" not in page.text


class TestNoise:
    """The report of a run that makes images from noise alone."""

    @pytest.fixture
    def run(self, make_run: Make, events_of: Events) -> Path:
        generated = {"name": "KID/generation", "value": 3.0, "better": "lower", "protocol": {"task": "generation"}}
        run = make_run(lock={"inputs": ["noise"]}, samples=30)
        pairs = {"generation": (("face-1", "face-1"), ("face-2", "face-2"))}
        found = EvaluationResult("model", "test", "ema", 1200, {"split": "test", "task_seed": "5"}, (), pairs=pairs)
        write_evaluation(found, run / "evaluations" / "step-00001200-test-ema-1.json")
        events = [
            events_of(1200, weights=weights, measurements=[generated], protocol=found.protocol)
            for weights in ("ema", "baseline/real_photos")
        ]
        lines = (run / "metrics.jsonl").read_text().splitlines()
        kept = [line for line in lines if json.loads(line)["event"] != "evaluation"]
        (run / "metrics.jsonl").write_text("".join(f"{line}\n" for line in [*kept, *map(json.dumps, events)]))
        return run

    def test_nothing_speaks_of_masks_and_references(self, run: Path) -> None:
        text, page = read(run)
        shown = text[text.index('<section id="results"') : text.index('<section id="training"')]
        said = re.sub(r"<[^>]*>", " ", shown)
        assert "KID" in said
        for word in ("mask", "reference", "look", "Drawn with seed"):
            assert word not in said, word
        for part in (
            "starts from the same noise each time",
            "24 of 30 grids are shown",
            "Which samples were measured",
            "one sample of noise for each face of the split (2)",
            "photos of the training split",
        ):
            assert part in page.text, part

    def test_a_run_with_a_reference_speaks_of_it(self, make_run: Make) -> None:
        run = make_run()
        _, page = read(run)
        assert "The result is made from the mask and reference, then in the style of another face." in page.text
        (run / "lock.json").write_text(json.dumps({"inputs": ["source", "attribute"]}))
        _, page = read(run)
        assert "made from the photo that is changed, then with each attribute turned to its opposite" in page.text
        (run / "lock.json").write_text(json.dumps({"inputs": ["mask"]}))
        _, page = read(run)
        assert "The result is made from the mask. The heading of each column" in page.text

    @pytest.mark.parametrize("inputs", [None, [], "mask", [3], {}])
    def test_a_lock_that_does_not_say(self, make_run: Make, inputs: object) -> None:
        _, page = read(make_run(lock={} if inputs is None else {"inputs": inputs}))
        assert "the same faces each time. The heading of each column says what it shows." in page.text


def test_a_report_is_the_same_when_it_is_written_again(make_run: Make) -> None:
    run = make_run(steps=60)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert not list(run.glob(".*"))


def test_the_report_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="no such run folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(FacekitError, match="not a run"):
        write_report(tmp_path)


def test_wall_time_leaves_out_pauses_and_evaluations(make_run: Make) -> None:
    run = make_run()
    events = [
        {"event": "started", "step": 0, "time": 100.0},
        {"event": "interrupted", "step": 5, "time": 110.0},
        {"event": "resumed", "step": 5, "time": 1000.0},
        {"event": "finished", "step": 9, "time": 1020.5},
        {"event": "evaluation", "step": 9, "time": 5000.0},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert read_run(run).wall_seconds() == 30.5
