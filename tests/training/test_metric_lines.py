"""Lines of metrics with checksums: any flipped bit is noticed, and nothing sound is lost."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from facekit.training.run.event_log import append_line, read_lines, rewind
from facekit.training.run.folder import RunFolder, seal_is_sound, sealed
from facekit.training.run.metric_lines import decode_lines, encode_line
from facekit.training.run.reading import read_run

EVENTS = [
    {"event": "started", "step": 0, "steps": 40, "parameters": {"generator": 1234}, "time": 1000.5},
    *(
        {
            "event": "train",
            "step": step,
            "losses": {"generator/adversarial": step / 7, "discriminator/adversarial": 0.5},
            "seconds_per_step": 0.125,
            "time": 1000.5 + step,
        }
        for step in range(1, 21)
    ),
    {"event": "warning", "step": 20, "message": 'schöne Grüße: {"event": 1}, "crc32"', "time": 1021.5},
    {"event": "finished", "step": 40, "message": "", "time": 1022.5},
]


def test_lines_read_back_as_they_were_written():
    found = decode_lines(b"".join(map(encode_line, EVENTS)))
    assert (found.events, found.damaged, found.cut) == (EVENTS, {}, False)
    assert all(json.loads(encode_line(event))["crc32"] for event in EVENTS)


def test_every_flipped_bit_is_noticed_and_costs_one_line_at_most():
    content = b"".join(map(encode_line, EVENTS))
    for place in range(len(content)):
        bit = 1 << random.Random(place).randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= bit
        found = decode_lines(bytes(damaged))
        assert found.damaged, (place, bit)
        assert len(found.events) >= len(EVENTS) - 1
        assert all(event in EVENTS for event in found.events)
        if content[place : place + 1] == b"\n":  # two lines became one, and both are whole
            assert found.events == EVENTS


def test_a_cut_anywhere_keeps_all_lines_before_it():
    content = b"".join(map(encode_line, EVENTS))
    for length in range(0, len(content), 11):
        found = decode_lines(content[:length])
        whole = content[:length].count(b"\n")
        assert found.events[:whole] == EVENTS[:whole]
        assert not found.damaged
        assert found.cut == (len(found.events) == whole and not content[:length].endswith(b"\n") and length > 0)


def test_lines_of_older_versions_are_read_and_get_checksums_when_a_run_goes_on(tmp_path: Path):
    run = RunFolder(tmp_path)
    run.metrics.write_text("".join(json.dumps(event) + "\n" for event in EVENTS), encoding="utf-8")
    append_line(run.metrics, {"event": "evaluation", "step": 40, "measurements": []})
    assert list(read_lines(run.metrics))[:-1] == EVENTS
    assert rewind(run, 20) == []
    assert run.metrics.read_bytes().count(b'"crc32":') == len(EVENTS)  # without the evaluation, which is made again
    assert list(read_lines(run.metrics)) == EVENTS
    assert not run.damaged_metrics.exists()


def test_a_run_that_goes_on_tells_of_damaged_lines_and_sets_them_aside(tmp_path: Path):
    run = RunFolder(tmp_path)
    for event in EVENTS:
        append_line(run.metrics, event)
    lines = run.metrics.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'"step":3', b'"step":7')
    lines[5] = lines[5].replace(b"0.5", b"0.6")
    run.metrics.write_bytes(b"\n".join(lines))
    (problem,) = (problem for problem in read_run(tmp_path).problems if problem.startswith("metrics"))
    assert problem.startswith("metrics.jsonl is not what the run wrote in line 4 and 1 more")
    (warning,) = rewind(run, 20)
    assert warning.startswith("metrics.jsonl is not what the run wrote in line 4 and 1 more")
    assert run.damaged_metrics.read_bytes() == lines[3] + b"\n" + lines[5] + b"\n"
    assert [event["step"] for event in read_lines(run.metrics) if event["event"] == "train"] == [
        step for step in range(1, 21) if step not in (3, 5)
    ]
    assert rewind(run, 20) == []


def test_a_document_fits_its_checksum_until_it_is_changed():
    document = sealed({"a": 1, "b": [1.5, "x"]})
    assert seal_is_sound(document)
    assert seal_is_sound(sealed(document))
    assert not seal_is_sound({**document, "a": 2})
    renamed = {"a": 1, "b": [1.5, "x"], "sha255": document["sha256"]}
    assert not seal_is_sound(renamed)
    assert seal_is_sound({"a": 1})
    assert seal_is_sound({})


@pytest.mark.parametrize("text", ['{"event":"train","crc32":5}', '{"crc32":"00000000"}', "[1]", '"x"', "{}x"])
def test_odd_lines_are_damage(text: str):
    found = decode_lines(text.encode() + b"\n")
    assert (found.events, list(found.damaged)) == ([], [1])
