"""Reports of runs whose files were damaged in any way at all: a page comes of each, and never a traceback."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.evaluation.store import read_evaluation
from facekit.interfaces import FacekitError, RunFailure
from facekit.report import write_report
from facekit.training.run.event_log import read_lines, rewind
from facekit.training.run.folder import RunFolder

Make = Callable[..., Path]

LINES = [
    '{"event":"train","step":1,"losses":{"generator/a":NaN,"b":Infinity},"seconds_per_step":NaN,"time":NaN}',
    '{"event":"train","step":' + "9" * 400 + ',"losses":{"generator/a":' + "9" * 400 + "}}",
    '{"event":"train","step":' + "9" * 5000 + "}",
    '{"event":"train","step":1e400,"losses":{"generator/a":1e308}}',
    "[" * 50_000,
    '{"event":"warning","step":2,"message":' + "[" * 400 + "]" * 400 + "}",
    '{"event":"warning","step":2,"message":"\\ud800"}',
    '{"event":"evaluation","step":[],"measurements":{"a":1}}',
    '{"event":"train","step":"x","losses":{"generator/a":1}}',
    '{"event":"train","step":3,"losses":{"generator/a":5e-324,"generator/b":0}}',
]

RECIPES = [
    "name: 2026-99-99",
    "name: 0x_",
    "[" * 5000,
    'name: "\\ud800"',
    "name: [1, 2]",
    "name: &n [*n]",
    "description: {a: b}",
    f"train: {{batch: {'9' * 5000}}}",
    "train: {batch: x, accumulate: []}",
    "data: {use: [a], size: {b: c}}",
]

LOCKS = [
    '{"parameters": {"generator": "x"}}',
    '{"parameters": {"generator": 1e400}}',
    '{"parameters": {"generator": NaN, "style_encoder": 3}}',
    '{"dimensions": [3], "plugins": 3, "libraries": "x", "components": [1]}',
    '{"command": ["a"], "facekit": "\\ud800", "inputs": {"a": 1}}',
]


def append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_damaged_line_of_the_metrics(make_run: Make, line: str) -> None:
    run = make_run(steps=60, samples=1)
    append(run / "metrics.jsonl", line)
    assert "finished" in write_report(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", RECIPES, ids=range(len(RECIPES)))
def test_a_damaged_recipe(make_run: Make, text: str) -> None:
    run = make_run(steps=60, samples=1)
    (run / "recipe.yaml").write_text(text, encoding="utf-8")
    assert "finished" in write_report(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", LOCKS, ids=range(len(LOCKS)))
def test_a_damaged_lock(make_run: Make, text: str) -> None:
    run = make_run(steps=60, samples=1)
    (run / "lock.json").write_text(text, encoding="utf-8")
    assert "finished" in write_report(run).read_text(encoding="utf-8")


def test_a_changed_digit_of_the_lock_is_told(make_run: Make) -> None:
    run = RunFolder(make_run(steps=60, samples=1))
    run.write_lock({**run.read_lock(), "recipe_sha256": "0" * 64})
    assert "its entries and its checksum differ" not in write_report(run.path).read_text(encoding="utf-8")
    text = run.lock.read_text(encoding="utf-8")
    run.lock.write_text(text.replace("22031107", "22031106"), encoding="utf-8")
    assert "its entries and its checksum differ" in write_report(run.path).read_text(encoding="utf-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes into read-only folders")
def test_a_read_only_folder_of_a_user(make_run: Make) -> None:
    run = make_run(steps=60, samples=1)
    run.chmod(0o555)
    try:
        with pytest.raises(RunFailure, match="the report cannot be written"):
            write_report(run)
    finally:
        run.chmod(0o755)


def test_a_read_only_disk(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(steps=60, samples=1)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunFailure, match="the report cannot be written: Read-only file system"):
        write_report(run)


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_run_goes_on_past_a_damaged_line(make_run: Make, line: str) -> None:
    run = RunFolder(make_run(steps=60, samples=1))
    append(run.metrics, line)
    rewind(run, 40)
    lines = list(read_lines(run.metrics))
    assert max(each["step"] for each in lines if each["event"] == "train") == 40
    rewind(run, 40)  # what it wrote reads back
    assert list(read_lines(run.metrics)) == lines


def test_a_folder_in_place_of_the_metrics_is_one_sentence(make_run: Make) -> None:
    run = RunFolder(make_run(steps=60, samples=1))
    run.metrics.unlink()
    run.metrics.mkdir()
    with pytest.raises(RunFailure, match="cannot be read or written"):
        rewind(run, 40)


# Anything that JSON can say, and a little more: Python reads and writes NaN, infinities and lone surrogates too.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**17, max_value=10**400),
    st.floats(),
    st.sampled_from([1e308, -1e308, 5e-324, 1e100, 0.0, -0.0, -1, 2**63]),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "x", "2026-99-99", "<b>", "test", "ema"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a document."""
    if isinstance(document, dict):
        entries = list(document.items())
    else:
        entries = list(enumerate(document)) if isinstance(document, list) else []
    return [*([path] if path else []), *(each for key, value in entries for each in places(value, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    changed = inner = copy.deepcopy(document)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@MANY
@given(data=st.data())
def test_any_value_anywhere_in_metrics_and_lock(make_run: Make, data: st.DataObject) -> None:
    run = make_run(steps=60, samples=0)
    file = run / data.draw(st.sampled_from(["metrics.jsonl", "lock.json"]))
    texts = [file.read_text()] if file.suffix == ".json" else file.read_text().splitlines()
    documents = [json.loads(text) for text in texts]
    for _ in range(data.draw(st.integers(1, 4))):
        which = data.draw(st.integers(0, len(documents) - 1))
        known = places(documents[which])
        if known:
            path = data.draw(st.sampled_from(known))
            documents[which] = replaced(documents[which], path, data.draw(VALUES))
    file.write_text("".join(json.dumps(document) + "\n" for document in documents))
    write_report(run)
    if file.suffix == ".jsonl":
        rewind(RunFolder(run), data.draw(st.integers(0, 60)))


@MANY
@given(data=st.data())
def test_any_flip_of_bits(make_run: Make, data: st.DataObject) -> None:
    run = make_run(steps=60, samples=0)
    file = run / data.draw(st.sampled_from(["metrics.jsonl", "lock.json", "recipe.yaml"]))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    write_report(run)


EVALUATION: dict[str, Any] = {
    "format": 1,
    "system": "model",
    "split": "test",
    "weights": "ema",
    "step": 60,
    "protocol": "5f0c1a9be2d4",
    "protocol_fields": {"data": "synthetic_faces 91ac", "task_seed": "0"},
    "seconds_per_picture": 0.1,
    "measurements": [
        {
            "name": "psnr",
            "value": 15.2,
            "unit": "dB",
            "better": "higher",
            "count": 2,
            "id": "aa",
            "protocol": {"peak": "1"},
            "interval": [14.0, 16.0],
            "per_sample": [15.0, None],
        }
    ],
    "pairs": {"style_copy": [["a", "b"], ["b", "a"]]},
    "pictures": {"style_copy": [{"key": "a", "reference_key": "b", "file": "x/a.png", "shows": ["mask", "result"]}]},
}


@MANY
@given(path=st.sampled_from(places(EVALUATION)), value=VALUES)
def test_any_value_anywhere_in_an_evaluation(make_run: Make, path: tuple[Any, ...], value: object) -> None:
    run = make_run(steps=60, samples=0)
    (run / "evaluations").mkdir(exist_ok=True)
    file = run / "evaluations" / "step-00000060-test-ema-1f0c9a3e.json"
    file.write_text(json.dumps(replaced(EVALUATION, path, value)))
    # An error for people, or what can be formatted as it says.
    with suppress(FacekitError):
        for measurement in read_evaluation(file).measurements.values():
            f"{measurement.value:.3f} {measurement.count:,} {measurement.name} {measurement.id}".encode()
    assert "finished" in write_report(run).read_text(encoding="utf-8")
