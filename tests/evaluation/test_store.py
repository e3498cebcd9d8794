"""Evaluations on disk: every value of every photo, some pictures, and the names that tell evaluations apart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation import BASELINE_NAMES, BASELINES, Asked, evaluate, read_evaluation, write_evaluation
from facekit.evaluation.baselines import CopyReference
from facekit.evaluation.results import EvaluationResult
from facekit.interfaces import FacekitError, Measurement


def test_the_names_known_without_torch_are_those_of_the_baselines() -> None:
    assert tuple(BASELINES) == BASELINE_NAMES


def test_what_is_written_is_what_was_measured(packed, error_metric, network, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    metrics = [error_metric(), error_metric("style_copy", name="copied")]
    result = evaluate(network, packed, metrics, batch=3, keep=4, name="model", weights="ema", step=12)
    file = write_evaluation(result, tmp_path / "evaluations" / "step-00000012-test-ema-01234567.json")
    stored = read_evaluation(file)
    assert (stored.system, stored.split, stored.weights, stored.step) == ("model", "test", "ema", 12)
    assert stored.protocol == result.protocol
    for name in ("error", "copied"):
        measurement, kept = result.measurement(name), stored.measurements[name]
        assert kept.value == measurement.value
        assert kept.per_sample == measurement.per_sample
        assert len(kept.per_sample) == len(packed.rows("test"))
        assert kept.id == result.ids[name]
        assert kept.interval == result.intervals[name]
    assert set(stored.pictures) == {"reconstruction", "style_copy"}
    assert all(len(pictures) == 4 for pictures in stored.pictures.values())


def test_pictures_are_mask_reference_photo_and_result(packed: PackedFaces, error_metric, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = evaluate(CopyReference(), packed, [error_metric("style_copy")], batch=2, keep=3, name="copy_reference")
    stored = read_evaluation(write_evaluation(result, tmp_path / "step-00000000-test-x-01234567.json"))
    rows = {packed.keys[int(row)]: int(row) for row in packed.rows("test")}
    pictures = stored.pictures["style_copy"]
    assert [picture.key for picture in pictures] == ["face-7", "face-10", "face-13"], "spread over the split"
    for picture in pictures:
        parts = picture.parts()
        target, reference = rows[picture.key], rows[picture.reference_key]
        assert (parts["photo"] == packed.images[target]).all()
        assert (parts["reference"] == packed.images[reference]).all()
        assert (parts["result"] == packed.images[reference]).all()
        assert (parts["mask"] == packed.label_map.colourise(packed.masks[target])).all()
    assert fixed_batch(packed, packed.rows("test")).image.shape[-1] == parts["photo"].shape[0]


def test_the_same_faces_are_kept_whoever_paints_and_whatever_the_batch(packed, error_metric, network) -> None:  # type: ignore[no-untyped-def]
    def kept(system, batch: int) -> list[str]:  # type: ignore[no-untyped-def]
        result = evaluate(system, packed, [error_metric()], batch=batch, keep=4)
        return [picture.key for picture in result.pictures["reconstruction"]]

    assert kept(network, 1) == kept(CopyReference(), 5) == kept(network, 7)


def test_nothing_is_kept_unasked(packed, error_metric, network) -> None:  # type: ignore[no-untyped-def]
    assert evaluate(network, packed, [error_metric()]).pictures == {}


def test_details_are_kept_as_such_and_evaluations_of_before_have_none(tmp_path: Path) -> None:
    measurements = (Measurement("error", 1.0, "", "lower"), Measurement("error/hat", 2.0, "", "lower", detail=True))
    file = write_evaluation(EvaluationResult("model", "test", "ema", 1, {}, measurements), tmp_path / "one.json")
    assert [entry.detail for entry in read_evaluation(file).measurements.values()] == [False, True]
    document = json.loads(file.read_text())
    for entry in document["measurements"]:
        del entry["detail"]
    del document["sha256"]
    file.write_text(json.dumps(document))
    assert not any(entry.detail for entry in read_evaluation(file).measurements.values())


def test_values_that_are_none_come_back_as_nan(tmp_path: Path) -> None:
    measurement = Measurement("m", math.nan, "", "higher", count=0)
    result = EvaluationResult("model", "test", "ema", 1, {"data": "x"}, (measurement,))
    file = write_evaluation(result, tmp_path / "step-00000001-test-ema-01234567.json")
    json.loads(file.read_text("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert math.isnan(read_evaluation(file).measurements["m"].value)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "step-00000001-test-ema-01234567.json"
    with pytest.raises(FacekitError, match="cannot be read"):
        read_evaluation(file)
    file.write_text('{"format": 1', encoding="utf-8")
    with pytest.raises(FacekitError, match=r"cannot be read.*"):
        read_evaluation(file)
    file.write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(FacekitError, match="of format 99"):
        read_evaluation(file)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    measurement = Measurement("m", 0.25, "dB", "higher", count=2, per_sample=(0.125, 0.375))
    result = EvaluationResult("model", "test", "ema", 1, {"data": "x"}, (measurement,))
    file = write_evaluation(result, tmp_path / "step-00000001-test-ema-01234567.json")
    content, sound = file.read_bytes(), read_evaluation(file)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place * 5) % 8
        file.write_bytes(damaged)
        try:
            assert read_evaluation(file) == sound  # a capital E in a number, say
        except FacekitError as error:
            assert "cannot be read" in error.message or "of format" in error.message  # noqa: PT017
            assert error.remedy or "format" in error.message  # noqa: PT017
    file.write_bytes(content.replace(b"0.375", b"0.385"))
    with pytest.raises(FacekitError, match=r"its entries and its checksum differ.*\n.*measure again"):
        read_evaluation(file)


def test_writing_again_replaces_pictures_that_are_no_longer_kept(packed, error_metric, network, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "step-00000001-test-ema-01234567.json"
    write_evaluation(evaluate(network, packed, [error_metric()], keep=5), file)
    write_evaluation(evaluate(network, packed, [error_metric()], keep=2), file)
    assert len(list(file.with_suffix("").iterdir())) == 2
    assert len(read_evaluation(file).pictures["reconstruction"]) == 2


def test_evaluations_that_ask_for_different_things_have_different_files() -> None:
    metrics = ({"use": "a"}, {"use": "b", "option": 1})
    asked = [
        Asked(metrics),
        Asked(metrics, split="validation"),
        Asked(metrics, seed=1),
        Asked(metrics, limit=3),
        Asked(metrics[:1]),
    ]
    files = {entry.file(Path("e"), step=5, weights="ema").name for entry in asked}
    assert len(files) == len(asked)
    assert Asked(({"option": 1, "use": "b"},)).key == Asked(({"use": "b", "option": 1},)).key
    assert Asked(metrics).file(Path("e"), step=5, weights="baseline/copy_reference").name == (
        f"step-00000005-test-baseline-copy_reference-{Asked(metrics).key}.json"
    )


def test_pictures_of_before_have_all_parts(packed, error_metric, network, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = write_evaluation(
        evaluate(network, packed, [error_metric()], keep=1), tmp_path / "step-00000001-test-ema-01234567.json"
    )
    document = json.loads(file.read_text("utf-8"))
    assert document["pictures"]["reconstruction"][0].pop("shows") == ["mask", "reference", "photo", "result"]
    del document["sha256"]  # nor a checksum
    file.write_text(json.dumps(document), encoding="utf-8")
    (picture,) = read_evaluation(file).pictures["reconstruction"]
    assert list(picture.parts()) == ["mask", "reference", "photo", "result"]


def test_pixels_of_a_strip_are_of_one_size(packed, error_metric, network) -> None:  # type: ignore[no-untyped-def]
    (picture,) = evaluate(network, packed, [error_metric()], keep=1).pictures["reconstruction"]
    assert picture.strip.shape == (packed.size, 4 * packed.size, 3)
    assert picture.strip.dtype == np.uint8
