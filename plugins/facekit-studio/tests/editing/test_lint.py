"""What looks wrong in masks."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.interfaces import DatasetContext, LabelMap
from facekit.registry import load_registry
from facekit_studio.editing.lint import lint_mask


@pytest.fixture(scope="module")
def label_map() -> LabelMap:
    return load_registry().label_maps["celebamask_hq"]


@pytest.fixture
def mask(label_map: LabelMap) -> np.ndarray:
    """Skin with eyes and a mouth."""
    mask = np.zeros((64, 64), np.uint8)
    mask[10:54, 14:50] = label_map.id_of("skin")
    mask[22:25, 20:26] = label_map.id_of("r_eye")
    mask[22:25, 38:44] = label_map.id_of("l_eye")
    mask[42:45, 26:38] = label_map.id_of("mouth")
    return mask


def regions(mask: np.ndarray, label_map: LabelMap, **others: list[str]) -> list[tuple[str, str]]:
    return [(finding.level, finding.region) for finding in lint_mask(mask, label_map, **others)]


def test_a_sound_mask_has_no_findings(mask: np.ndarray, label_map: LabelMap) -> None:
    assert lint_mask(mask, label_map) == []


def test_drawn_faces_have_no_findings(label_map: LabelMap) -> None:
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    faces = spec.build(spec.options.model_validate({"train": 30}), DatasetContext(label_maps=registry.label_maps))
    for index in range(30):
        assert lint_mask(np.asarray(faces.read(index, size=128).mask), label_map) == []


def test_ids_outside_the_label_map(mask: np.ndarray, label_map: LabelMap) -> None:
    mask[0, :3] = (19, 200, 255)
    (finding,) = lint_mask(mask, label_map)
    assert finding.level == "error"
    assert finding.message == "the ids 19, 200, 255 are outside celebamask_hq, whose ids are 0 to 18"


def test_exchanged_sides(mask: np.ndarray, label_map: LabelMap) -> None:
    assert regions(mask[:, ::-1].copy(), label_map) == [("warning", "l_eye")]


def test_an_eye_outside_the_skin(mask: np.ndarray, label_map: LabelMap) -> None:
    mask[22:25, 38:44] = label_map.id_of("skin")
    mask[0:3, 58:63] = label_map.id_of("l_eye")
    assert regions(mask, label_map) == [("warning", "l_eye")]


def test_a_hole(mask: np.ndarray, label_map: LabelMap) -> None:
    mask[30:34, 30:34] = 0
    (finding,) = lint_mask(mask, label_map)
    assert "hole of background in skin around row 31, column 31" in finding.message
    mask[30:34, 30:34] = label_map.id_of("skin")
    mask[30, 30] = 0  # a pixel is no hole that anybody sees
    assert lint_mask(mask, label_map) == []


def test_a_class_that_was_never_seen(mask: np.ndarray, label_map: LabelMap) -> None:
    seen = ["background", "skin", "l_eye", "r_eye"]
    assert regions(mask, label_map, seen=seen) == [("warning", "mouth")]


def test_other_label_maps_are_looked_at_as_far_as_they_go() -> None:
    merged = load_registry().label_maps["celebamask_hq_merged"]
    mask = np.full((32, 32), merged.id_of("skin"), np.uint8)
    mask[10:12, 8:12] = merged.id_of("eye")
    assert lint_mask(mask, merged) == []
