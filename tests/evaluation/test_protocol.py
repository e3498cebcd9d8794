from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from facekit.data.store import PackedFaces
from facekit.evaluation import bootstrap_interval, common_fields, measurement_id, protocol_id, task_pairs
from facekit.evaluation.tasks import faces_of
from facekit.interfaces import FacekitError, Measurement


class TestProtocol:
    def test_the_order_of_fields_does_not_matter_and_every_field_does(self, packed: PackedFaces) -> None:
        fields = common_fields(packed, packed.rows("test"), split="test", seed=0)
        assert protocol_id(fields) == protocol_id(dict(reversed(fields.items())))
        ids = {protocol_id({**fields, name: value + "!"}) for name, value in fields.items()}
        assert len(ids | {protocol_id(fields)}) == len(fields) + 1

    def test_it_holds_the_evaluated_faces_and_not_the_training_photos(self, pack: Callable[..., PackedFaces]) -> None:
        packed, fewer, other = pack(), pack(train=range(3)), pack(seed=1)
        assert packed.fingerprint != fewer.fingerprint
        of = [common_fields(each, each.rows("test"), split="test", seed=0) for each in (packed, fewer, other)]
        assert of[0] == of[1]
        assert of[0]["data"] != of[2]["data"]
        limited = common_fields(packed, faces_of(packed, "test", limit=3), split="test", seed=0)
        assert limited["faces"] == "3"
        assert limited["data"] != of[0]["data"]

    def test_numbers_are_comparable_whatever_else_was_measured(self, packed: PackedFaces) -> None:
        fields = common_fields(packed, packed.rows("test"), split="test", seed=0)
        one = Measurement("psnr", 20.0, "dB", "higher", {"channels": "RGB"}, 7)
        assert measurement_id(fields, one) == measurement_id(fields, replace(one, value=3.0))
        for other in (replace(one, protocol={"channels": "luma"}), replace(one, name="ssim"), replace(one, unit="")):
            assert measurement_id(fields, other) != measurement_id(fields, one)


class TestTasks:
    def test_reconstruction_pairs_each_face_with_itself(self, packed: PackedFaces) -> None:
        pairs = task_pairs(packed.rows("test"), "reconstruction")
        assert pairs.targets.tolist() == pairs.references.tolist() == list(range(7, 14))

    def test_style_copy_gives_each_look_to_one_other_face(self, packed: PackedFaces) -> None:
        pairs = task_pairs(packed.rows("test"), "style_copy", seed=3)
        assert pairs.targets.tolist() == list(range(7, 14))
        assert sorted(pairs.references.tolist()) == list(range(7, 14))
        assert (pairs.targets != pairs.references).all()
        assert len(pairs) == 7

    def test_the_exact_list_can_be_had(self, packed: PackedFaces) -> None:
        pairs = task_pairs(packed.rows("test"), "style_copy", seed=3)
        again = task_pairs(packed.rows("test"), "style_copy", seed=3)
        assert pairs.keys(packed) == again.keys(packed)
        assert pairs.keys(packed)[0] == ("face-7", f"face-{pairs.references[0]}")
        lists = {tuple(task_pairs(packed.rows("test"), "style_copy", seed=seed).keys(packed)) for seed in range(20)}
        assert len(lists) > 10

    def test_exception(self, packed: PackedFaces) -> None:
        with pytest.raises(FacekitError, match="no 'validation' split; it has"):
            faces_of(packed, "validation")
        with pytest.raises(ValueError, match="at least 1"):
            faces_of(packed, "test", limit=0)
        with pytest.raises(FacekitError, match="at least 2"):
            task_pairs(faces_of(packed, "test", limit=1), "style_copy")


class TestBootstrap:
    def test_it_is_near_the_normal_interval_for_many_values(self) -> None:
        values = np.random.default_rng(0).normal(5, 2, 4000)
        interval = bootstrap_interval(values.tolist())
        assert interval is not None
        half = 1.96 * values.std(ddof=1) / 4000**0.5
        assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)

    def test_coverage(self) -> None:
        """The interval of 30 values holds the true mean in about 95 of 100 cases."""
        random = np.random.default_rng(1)
        hits = 0
        for _ in range(300):
            interval = bootstrap_interval(random.normal(0, 1, 30).tolist(), resamples=400)
            assert interval is not None
            hits += interval[0] <= 0 <= interval[1]
        assert 0.89 <= hits / 300 <= 0.98

    def test_equal_values_give_equal_intervals(self) -> None:
        assert bootstrap_interval([1.0, 2.0, 5.0]) == bootstrap_interval([1.0, 2.0, 5.0])
        assert bootstrap_interval([3.0] * 5) == (3.0, 3.0)

    def test_more_confidence_is_wider(self) -> None:
        values = [0.1, 0.5, 0.9, 0.3]
        narrow, wide = bootstrap_interval(values, confidence=0.5), bootstrap_interval(values, confidence=0.99)
        assert narrow is not None
        assert wide is not None
        assert wide[0] < narrow[0] < narrow[1] < wide[1]

    def test_exception(self) -> None:
        assert bootstrap_interval([1.0]) is None
        assert bootstrap_interval([]) is None
        with pytest.raises(ValueError, match="confidence"):
            bootstrap_interval([1.0, 2.0], confidence=95)
