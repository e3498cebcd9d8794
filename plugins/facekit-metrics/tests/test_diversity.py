from __future__ import annotations

import pytest
import torch

from facekit.interfaces import FacekitError
from facekit_backbones import EfficientNetLite0
from facekit_metrics.options import PerceptualDistanceOptions
from facekit_metrics.perceptual import LAYERS, feature_distance
from facekit_metrics.perceptual import build_diversity as build

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)
LOOKS = [1, 2, 3, 4, 5, 0]


def test_it_is_the_distance_of_the_two_looks(pictures, show, context) -> None:  # type: ignore[no-untyped-def]
    own, other = pictures
    found = []
    for batch in (1, 4, 6):
        metric = build(PerceptualDistanceOptions(), context)
        show(metric, own, own, MASKS, batch=batch)
        show(metric, other, own, MASKS, task="style_copy", references=LOOKS, batch=batch)
        found.append(metric.compute()[0])
    assert found[0] == found[1] == found[2]
    assert found[0].better == "higher"
    assert found[0].count == 6
    backbone = EfficientNetLite0(layers=LAYERS)
    expected = [
        float(feature_distance(*(backbone(EfficientNetLite0.normalise(each)) for each in pair)))
        for pair in zip(own.split(1), other.split(1))
    ]
    assert found[0].per_sample == pytest.approx(expected)
    # It rises with the difference of the looks.
    assert list(found[0].per_sample) == sorted(found[0].per_sample)


def test_a_dead_style_path_has_none(pictures, show, context) -> None:  # type: ignore[no-untyped-def]
    metric = build(PerceptualDistanceOptions(), context)
    for task in metric.tasks:
        show(metric, pictures[1], pictures[0], MASKS, task=task)
    assert metric.compute()[0].value == 0


def test_exception(pictures, show, context) -> None:  # type: ignore[no-untyped-def]
    metric = build(PerceptualDistanceOptions(), context)
    with pytest.raises(FacekitError, match="no results"):
        metric.compute()
    show(metric, pictures[1], pictures[0], MASKS)
    with pytest.raises(FacekitError, match="6 faces in one task only"):
        metric.compute()
    with pytest.raises(FacekitError, match="'face0' twice in the task reconstruction"):
        show(metric, pictures[1], pictures[0], MASKS)
