"""Attribute files that were read off masks from a single pixel on."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.data.checks import check_dataset
from facekit.interfaces import FaceSample, LabelClass, LabelMap

LABELS = LabelMap("few", tuple(LabelClass(name, (9, 9, 9)) for name in ("background", "skin", "mouth")))


@pytest.fixture
def make_mouths(array_dataset):
    """Return a maker of 40 faces of 100 pixels a side: every second one has a mouth of some pixels, and a label."""

    def make(pixels, labels=None):
        samples = []
        for index in range(40):
            mask = np.ones((100, 100), np.uint8)
            if index % 2:
                mask.ravel()[: pixels[index // 2 % len(pixels)]] = 2
            label = bool(index % 2) if labels is None else labels[index]
            samples.append(FaceSample(np.zeros((100, 100, 3), np.uint8), mask, np.array([label])))
        names = ("Mouth_Slightly_Open",)
        return array_dataset(samples, {"train": range(40)}, attribute_names=names, label_map=LABELS)

    return make


def found(dataset):
    findings = check_dataset(dataset, workers=1).findings
    return [each.message for each in findings if each.where == "attribute Mouth_Slightly_Open"]


def test_labels_from_a_single_pixel_on_are_warned_of(make_mouths):
    (message,) = found(make_mouths([1, 9, 50, 60]))
    assert "10 of the 20 mouths that are called open cover less than 0.1% of the picture" in message


def test_labels_of_people_and_visible_mouths_are_not(make_mouths):
    assert found(make_mouths([11, 50])) == []
    people = [bool(index % 2) != (index < 3) for index in range(40)]
    assert found(make_mouths([1, 9, 50, 60], people)) == []
