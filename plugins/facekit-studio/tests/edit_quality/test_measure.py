"""Negative controls: what nobody edited looks real, what is flat does not, and what is touched outside is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.edit_quality.editors import PasteNearest
from facekit_studio.edit_quality.kinds import named_edit
from facekit_studio.edit_quality.measure import Figures, RealKind, Result, measure_results
from facekit_studio.edit_quality.plugin_metrics import Evaluators
from facekit_studio.editing.script import EditContext, apply_script

EDIT = named_edit("open_mouth")
SIDE = 256


@pytest.fixture(scope="module")
def open_mouths(faces, noisy, label_map):
    shown = [noisy(face, number) for number, face in enumerate(faces) if EDIT.is_shown_by(face.mask, label_map)]
    assert len(shown) >= 4
    return shown


@pytest.fixture(scope="module")
def shut_mouths(faces, noisy, label_map):
    shut = [noisy(face, 100 + number) for number, face in enumerate(faces) if EDIT.is_made_for(face.mask, label_map)]
    assert len(shut) >= 4
    return shut[:4]


@pytest.fixture
def measure(open_mouths, label_map):
    def run(results) -> Figures:
        evaluators = Evaluators(load_registry(), label_map=label_map, dataset="", side=SIDE, device=torch.device("cpu"))
        kind = RealKind(EDIT, open_mouths, split="train", label_map=label_map)
        return measure_results(EDIT, results, kind, evaluators, label_map=label_map, extractor="efficientnet_lite0")

    return run


def value(figures: Figures, name: str) -> float:
    return next(entry.value for entry in figures.measurements if entry.name == name)


def opened(face, label_map):
    return apply_script(EDIT.script(label_map), face.mask, EditContext(label_map))


def test_real_photos_look_like_themselves(measure, open_mouths):
    figures = measure([Result.real(face) for face in open_mouths])
    for part in ("mouth", "lips"):
        assert value(figures, f"texture/fine/{part}") == pytest.approx(1)
        assert value(figures, f"texture/coarse/{part}") == pytest.approx(1)
        assert 0 < value(figures, f"colour/{part}") <= 1
    names = {entry.name for entry in figures.measurements}
    assert not names & {"outside_pixels", "seam", "touched"}
    assert "identity" not in figures.absent


def test_a_flat_edit_has_no_texture_and_another_colour_is_far(measure, shut_mouths, label_map):
    results = []
    for face in shut_mouths:
        wanted = opened(face, label_map)
        image, touched = face.image.copy(), wanted != face.mask
        image[touched] = (0, 255, 0)
        results.append(Result(face, wanted, image, touched))
    figures = measure(results)
    # Pixels next to those inside bleed into the bands; the parts are small here.
    assert value(figures, "texture/fine/mouth") < 0.2
    assert value(figures, "colour/mouth") > 3
    assert value(figures, "outside_pixels") == 0
    assert value(figures, "seam") > 20
    assert len(next(e for e in figures.measurements if e.name == "seam").per_sample) == len(results)
    assert figures.intervals["seam"][0] <= value(figures, "seam") <= figures.intervals["seam"][1]


def test_an_edit_that_touches_pixels_outside_is_told(measure, shut_mouths, label_map):
    results = []
    for number, face in enumerate(shut_mouths):
        wanted = opened(face, label_map)
        image = face.image.copy()
        image[0, :number] ^= 8
        results.append(Result(face, wanted, image, wanted != face.mask))
    figures = measure(results)
    assert [figures.photos[face.key]["outside_pixels"] for face in shut_mouths] == [0, 1, 2, 3]
    assert value(figures, "outside_pixels") == pytest.approx(1.5)


def test_a_pasted_mouth_has_the_texture_of_real_ones_and_touches_nothing_else(
    measure, shut_mouths, open_mouths, label_map
):
    paste = PasteNearest(EDIT, open_mouths, label_map)
    results = []
    for face in shut_mouths:
        wanted = opened(face, label_map)
        edited = paste(face, wanted)
        assert edited.touched[wanted != face.mask].all()
        results.append(Result(face, wanted, edited.image, edited.touched))
    figures = measure(results)
    assert value(figures, "outside_pixels") == 0
    # Resampling costs some of the finest band, and no more.
    assert 0.2 < value(figures, "texture/fine/mouth") < 1.5


def test_a_photo_pasted_from_itself_is_the_photo(open_mouths, label_map):
    face = open_mouths[0]
    wanted = face.mask.copy()
    before = np.where(EDIT.shown(wanted, label_map), np.uint8(label_map.id_of("skin")), wanted)
    edited = PasteNearest(EDIT, [*open_mouths[1:], face], label_map)(type(face)(face.key, face.image, before), wanted)
    assert np.array_equal(edited.image, face.image)


def test_nothing_to_paste_from_is_told(label_map):
    with pytest.raises(FacekitError, match="none to paste from"):
        PasteNearest(EDIT, [], label_map)


def test_what_is_not_measured_is_told(measure, shut_mouths, label_map, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    results = [
        Result(face, opened(face, label_map), face.image, opened(face, label_map) != face.mask)
        for face in shut_mouths[:1]
    ]
    absent = measure(results).absent
    assert "there is no attribute classifier" in absent["attribute"]
    assert "there is no segmenter" in absent["iou"]
    assert "four" in absent["kid"]


def test_an_extractor_that_kid_does_not_know_is_told(label_map):
    evaluators = Evaluators(load_registry(), label_map=label_map, dataset="", side=SIDE, device=torch.device("cpu"))
    evaluators.check_extractor("efficientnet_lite0")
    with pytest.raises(FacekitError, match="no extractor 'vgg'"):
        evaluators.check_extractor("vgg")


def test_a_part_that_no_edit_changes_is_told(measure, shut_mouths):
    nothing = np.zeros((SIDE, SIDE), dtype=bool)
    figures = measure([Result(face, face.mask, face.image, nothing) for face in shut_mouths])
    assert "in no photo" in figures.absent["mouth"]
    assert not any(entry.name.startswith(("texture", "colour", "seam")) for entry in figures.measurements)
