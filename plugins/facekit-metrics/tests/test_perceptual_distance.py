from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facekit.interfaces import FacekitError
from facekit_metrics.backbones import LAYERS
from facekit_metrics.efficientnet_lite0 import BLOCKS, EfficientNetLite0, packaged_weights
from facekit_metrics.options import PerceptualDistanceOptions
from facekit_metrics.perceptual_distance import build, feature_distance

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


class TestBackbone:
    def test_features_agree_with_convolutions_and_batch_norms_one_by_one(self) -> None:
        """The weights of the package in a plain double-precision forward pass, without folding."""
        state = {key: value.double() for key, value in torch.load(packaged_weights(), weights_only=True).items()}
        torch.manual_seed(0)
        image = torch.rand(1, 3, 64, 64, dtype=torch.float64) * 2 - 1

        def layer(hidden, conv, norm, stride=1, groups=1):  # type: ignore[no-untyped-def]
            weight = state[f"{conv}.weight"]
            kernel = weight.shape[-1]
            # "Same" padding of even sides: symmetric at stride 1, one less at the upper left at stride 2.
            before, after = (kernel // 2, kernel // 2) if stride == 1 else ((kernel - 2) // 2, (kernel - 1) // 2)
            hidden = F.conv2d(F.pad(hidden, (before, after) * 2), weight, stride=stride, groups=groups)
            parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
            return F.batch_norm(hidden, *parts, training=False, eps=1e-3)

        features = {"stem": layer(image, "_conv_stem", "_bn0", 2).clamp(0, 6)}
        hidden = features["stem"]
        for index, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)):
            key, before = f"_blocks.{index}", hidden
            if index:
                hidden = layer(hidden, f"{key}._expand_conv", f"{key}._bn0").clamp(0, 6)
            wide = hidden.shape[1]
            hidden = layer(hidden, f"{key}._depthwise_conv", f"{key}._bn1", stride, wide).clamp(0, 6)
            hidden = layer(hidden, f"{key}._project_conv", f"{key}._bn2")
            hidden = hidden + before if hidden.shape == before.shape else hidden
            features[f"block{index}"] = hidden
        with torch.no_grad():
            ours = EfficientNetLite0(layers=LAYERS)(image.float())
        assert set(ours) == set(LAYERS)
        for name in LAYERS:
            scale = features[name].abs().max()
            torch.testing.assert_close(ours[name].double() / scale, features[name] / scale, rtol=0, atol=1e-5)

    def test_there_are_sixteen_blocks(self) -> None:
        assert len(BLOCKS) == 16
        assert BLOCKS[-1].outputs == 320

    def test_exception(self, tmp_path: Path) -> None:
        with pytest.raises(FacekitError, match="are not there"):
            EfficientNetLite0(layers=LAYERS, weights=tmp_path / "absent.pth")
        torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(FacekitError, match="belongs to another network"):
            EfficientNetLite0(layers=LAYERS, weights=tmp_path / "other.pth")
        (tmp_path / "broken.pth").write_bytes(b"nothing")
        with pytest.raises(FacekitError, match="cannot be read"):
            EfficientNetLite0(layers=LAYERS, weights=tmp_path / "broken.pth")
        torch.save([torch.zeros(1)], tmp_path / "list.pth")
        with pytest.raises(FacekitError, match="tensors by name"):
            EfficientNetLite0(layers=LAYERS, weights=tmp_path / "list.pth")


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
