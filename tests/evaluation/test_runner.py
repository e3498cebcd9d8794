from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation import EvaluationProgress, EvaluationResult, evaluate, task_pairs
from facekit.evaluation.runner import round_to_8_bits
from facekit.interfaces import Condition, FacekitError, Generated, Measurement, RunFailure


class TestQuantisation:
    def test_it_is_what_a_png_keeps(self) -> None:
        torch.manual_seed(0)
        image = torch.randn(1, 3, 8, 8)
        pixels = ((image[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        back = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 127.5 - 1
        assert torch.equal(round_to_8_bits(image)[0], back)

    def test_photos_stay_as_they_are(self, packed: PackedFaces) -> None:
        photos = fixed_batch(packed, packed.rows("test")).image
        assert torch.equal(round_to_8_bits(photos), photos)


class TestRunner:
    def test_reconstruction_gives_each_face_its_own_look(self, packed, error_metric) -> None:  # type: ignore[no-untyped-def]
        metric = error_metric()
        result = evaluate(lambda condition: Generated(condition.reference.image), packed, [metric], batch=3)
        assert result.measurement("error").value == 0
        assert [key for each in metric.seen for key in each.keys] == [f"face-{index}" for index in range(7, 14)]
        assert all(each.keys == each.reference_keys for each in metric.seen)

    def test_style_copy_gives_each_mask_the_look_of_its_pair(self, packed, error_metric) -> None:  # type: ignore[no-untyped-def]
        metric = error_metric("style_copy")
        result = evaluate(lambda condition: Generated(condition.reference.image), packed, [metric], batch=3, seed=5)
        pairs = task_pairs(packed.rows("test"), "style_copy", seed=5)
        shown = [pair for each in metric.seen for pair in zip(each.keys, each.reference_keys)]
        assert shown == pairs.keys(packed) == list(result.pairs["style_copy"])
        targets, references = fixed_batch(packed, pairs.targets), fixed_batch(packed, pairs.references)
        masks = torch.cat([each.condition.mask for each in metric.seen])
        assert torch.equal(masks, targets.mask)
        assert torch.equal(torch.cat([each.condition.reference.mask for each in metric.seen]), references.mask)
        assert torch.equal(torch.cat([each.target for each in metric.seen]), targets.image)
        assert torch.equal(torch.cat([each.generated.image for each in metric.seen]), references.image)

    def test_only_the_tasks_that_metrics_want_are_painted(self, packed, error_metric) -> None:  # type: ignore[no-untyped-def]
        counted: list[EvaluationProgress] = []
        copy = lambda condition: Generated(condition.reference.image)  # noqa: E731
        evaluate(copy, packed, [error_metric(), error_metric(name="b")], batch=3, progress=counted.append)
        assert [(each.done, each.total) for each in counted] == [(3, 7), (6, 7), (7, 7)]
        counted.clear()
        evaluate(
            copy, packed, [error_metric(), error_metric("style_copy", "b")], batch=4, progress=counted.append, name="me"
        )
        assert counted[-1] == EvaluationProgress("me", 14, 14)

    def test_the_batch_size_does_not_matter(self, packed, network, error_metric) -> None:  # type: ignore[no-untyped-def]
        results = [evaluate(network, packed, [error_metric()], batch=batch) for batch in (1, 3, 7)]
        values = [result.measurement("error").per_sample for result in results]
        assert values[0] == pytest.approx(values[1], abs=1e-4)
        assert values[0] == pytest.approx(values[2], abs=1e-4)
        assert len({result.protocol for result in results}) == 1
        assert len({result.ids["error"] for result in results}) == 1

    def test_results_are_rounded_and_made_without_gradients(self, packed, network, error_metric) -> None:  # type: ignore[no-untyped-def]
        metric = error_metric()
        evaluate(network, packed, [metric])
        assert network.modes == [False]
        levels = (metric.seen[0].generated.image + 1) * 127.5
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
        assert levels.min() >= 0
        assert levels.max() <= 255

    def test_the_result_says_what_was_measured(self, packed, network, error_metric) -> None:  # type: ignore[no-untyped-def]
        result = evaluate(network, packed, [error_metric()], name="mine", weights="ema", step=40, limit=5)
        low, high = result.intervals["error"]
        assert low < result.measurement("error").value < high
        assert result.fields["faces"] == "5"
        assert result.data_fingerprint == packed.fingerprint
        document = json.loads(json.dumps(result.document(), allow_nan=False))
        assert document["system"] == "mine"
        assert document["weights"] == "ema"
        assert document["step"] == 40
        assert document["protocol"] == result.protocol
        (entry,) = document["measurements"]
        assert entry["interval"] == [low, high]
        assert entry["id"] == result.ids["error"] != result.protocol
        assert entry["count"] == 5

    def test_weights_are_no_part_of_the_protocol(self, packed, network, error_metric) -> None:  # type: ignore[no-untyped-def]
        results = [evaluate(network, packed, [error_metric()], weights=weights) for weights in ("ema", "live")]
        assert results[0].protocol == results[1].protocol

    def test_a_number_that_does_not_exist_is_null_in_json(self) -> None:
        result = EvaluationResult("m", "test", "ema", 1, {}, (Measurement("hair", float("nan"), "share", "higher"),))
        assert result.document()["measurements"][0]["value"] is None


class TestExceptions:
    def test_painters(self, packed, error_metric) -> None:  # type: ignore[no-untyped-def]
        def small(condition: Condition) -> Generated:
            return Generated(torch.zeros(len(condition.mask), 3, 8, 8))

        def broken(condition: Condition) -> Generated:
            return Generated(torch.full((len(condition.mask), 3, 16, 16), float("nan")))

        with pytest.raises(RunFailure, match=r"shape \(7, 3, 8, 8\)"):
            evaluate(small, packed, [error_metric()])
        with pytest.raises(RunFailure, match="not finite"):
            evaluate(broken, packed, [error_metric()])

    def test_arguments(self, packed, network, error_metric) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="nothing to measure"):
            evaluate(network, packed, [])
        with pytest.raises(FacekitError, match="two metrics measure 'error'"):
            evaluate(network, packed, [error_metric(), error_metric()])
        with pytest.raises(FacekitError, match="no 'validation' split"):
            evaluate(network, packed, [error_metric()], split="validation")
        with pytest.raises(ValueError, match="batch is 0"):
            evaluate(network, packed, [error_metric()], batch=0)
        with pytest.raises(FacekitError, match="it has error"):
            evaluate(network, packed, [error_metric()]).measurement("errors")


def test_tasks_and_protocols_need_no_torch() -> None:
    code = "import sys, facekit.evaluation as e; e.protocol_id, e.task_pairs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there() -> None:
    import facekit.evaluation

    found: list[Callable] = [getattr(facekit.evaluation, name) for name in facekit.evaluation.__all__]  # type: ignore[type-arg]
    assert all(each is not None for each in found)
    with pytest.raises(AttributeError):
        facekit.evaluation.nothing  # noqa: B018
