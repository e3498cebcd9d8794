from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
import torch

from facekit.interfaces import FacekitError
from facekit_backbones.efficientnet_lite0 import packaged_weights
from facekit_metrics.options import PerceptualDistanceOptions
from facekit_metrics.perceptual import build, feature_distance

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


class TestDistance:
    def test_against_numpy(self) -> None:
        generator = np.random.default_rng(0)
        a = {"one": generator.normal(size=(2, 4, 3, 3)), "two": generator.normal(size=(2, 6, 2, 2))}
        b = {name: generator.normal(size=value.shape) for name, value in a.items()}
        expected = np.zeros(2)
        for name in a:
            unit = [side[name] / np.linalg.norm(side[name], axis=1, keepdims=True) for side in (a, b)]
            expected += ((unit[0] - unit[1]) ** 2).sum(1).mean((1, 2)) / 2
        tensors = [{name: torch.from_numpy(value) for name, value in side.items()} for side in (a, b)]
        np.testing.assert_allclose(feature_distance(*tensors).numpy(), expected, rtol=1e-10)

    def test_exception(self) -> None:
        one = {"a": torch.zeros(1, 2, 3, 3)}
        with pytest.raises(ValueError, match="layers"):
            feature_distance(one, {"b": one["a"]})
        with pytest.raises(ValueError, match="layer a"):
            feature_distance(one, {"a": torch.zeros(1, 2, 4, 4)})


class TestMetric:
    def test_the_batch_size_does_not_matter_to_the_last_bit(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = []
        for batch in (1, 4, 6):
            metric = build(PerceptualDistanceOptions(), context)
            show(metric, results, photos, MASKS, batch=batch)
            found.append(metric.compute()[0])
        assert found[0] == found[1] == found[2]
        assert found[0].better == "lower"
        values = found[0].per_sample
        assert all(small < large for small, large in itertools.pairwise(values))

    def test_equal_pictures_are_at_zero(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        metric = build(PerceptualDistanceOptions(), context)
        show(metric, pictures[0], pictures[0], MASKS)
        assert metric.compute()[0].value == 0

    def test_backbone_and_weights_are_in_name_and_protocol(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        metric = build(PerceptualDistanceOptions(), context)
        show(metric, pictures[1], pictures[0], MASKS)
        (measurement,) = metric.compute()
        assert measurement.name == "perceptual_distance/efficientnet_lite0"
        digest = hashlib.sha256(packaged_weights().read_bytes()).hexdigest()
        assert measurement.protocol["weights"] == f"sha256 {digest}"

    def test_exception_nothing_observed(self, context) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="no results"):
            build(PerceptualDistanceOptions(), context).compute()
