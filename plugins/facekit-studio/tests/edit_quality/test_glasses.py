"""Clear glasses stay clear: which photos are asked, what is generated anew, and what counts as clear."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.faces.glasses import lenses_of
from facekit.inference import load
from facekit.interfaces import DatasetContext
from facekit.registry import load_registry
from facekit_studio.edit_quality.editors import PasteNearest, RunEditor
from facekit_studio.edit_quality.faces import Face, read_face
from facekit_studio.edit_quality.kinds import named_edit
from facekit_studio.edit_quality.measure import RealKind, Result, measure_results
from facekit_studio.edit_quality.plugin_metrics import Evaluators
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.script import EditContext, apply_script

EDIT = named_edit("move_glasses")
SIDE = 256


@pytest.fixture(scope="module")
def wearers(label_map):
    """Drawn faces whose clear glasses are seen, and darkened copies of them."""
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    dataset = spec.build(spec.options(train=60, validation=1, test=1), DatasetContext(registry.label_maps))
    column = list(dataset.attribute_names).index("Eyeglasses")
    worn = []
    for index in range(60):
        if dataset.read(index, size=64).attributes[column]:
            face = read_face(dataset, index, side=SIDE)
            if EDIT.is_made_for(face.mask, label_map) and EDIT.suits(face.image, face.mask, label_map):
                worn.append(face)
    assert len(worn) >= 2
    return worn


def tinted(face: Face, glasses) -> Face:
    image = face.image.copy()
    image[glasses] = 12
    return Face(face.key, image, face.mask)


def moved(face, label_map):
    return apply_script(EDIT.script(label_map), face.mask, EditContext(label_map))


def test_tinted_glasses_and_faces_without_any_are_left_out(wearers, faces, label_map):
    face = wearers[0]
    dark = tinted(face, face.mask == label_map.id_of("eye_g"))
    assert lenses_of(dark.image, dark.mask, label_map).tinted
    assert not EDIT.suits(dark.image, dark.mask, label_map)
    bare = next(each for each in faces if not (each.mask == label_map.id_of("eye_g")).any())
    assert not EDIT.is_made_for(bare.mask, label_map)


def test_the_whole_glasses_are_painted_anew(wearers, small_run, label_map):
    face = wearers[0]
    wanted = moved(face, label_map)
    worn = face.mask == label_map.id_of("eye_g")
    changed = EDIT.changed(face.mask, wanted, label_map)
    assert changed[worn].all()
    assert (changed & ~worn).any(), "they have moved"
    editor = PhotoEditor(load(small_run, device="cpu"))
    edited = RunEditor(editor, EDIT.script(label_map), EDIT.again)(face, wanted)
    # The run edits masks at its own 64 pixels.
    assert edited.touched[worn].mean() > 0.95
    assert not edited.touched.all()
    others = named_edit("open_mouth")
    assert np.array_equal(others.changed(face.mask, wanted, label_map), wanted != face.mask)


def test_the_share_of_clear_ones_is_measured(wearers, label_map):
    evaluators = Evaluators(load_registry(), label_map=label_map, dataset="", side=SIDE, device=torch.device("cpu"))
    kind = RealKind(EDIT, wearers, split="train", label_map=label_map)
    clear, dark = [], []
    for face in wearers:
        wanted = moved(face, label_map)
        glasses = wanted == label_map.id_of("eye_g")
        touched = EDIT.changed(face.mask, wanted, label_map)
        clear.append(Result(face, wanted, face.image, touched))
        dark.append(Result(face, wanted, tinted(face, glasses).image, touched))

    def share(results):
        figures = measure_results(EDIT, results, kind, evaluators, label_map=label_map, extractor="efficientnet_lite0")
        return next(entry for entry in figures.measurements if entry.name == "clear_glasses")

    assert share(clear).value == 1
    assert share(dark).value == 0
    assert share(clear[:1] + dark[1:]).value == pytest.approx(1 / len(wearers))
    assert share(dark).better == "higher"
    assert len(share(dark).per_sample) == len(wearers)


def test_pasted_glasses_are_those_of_another(wearers, label_map):
    face, donor = wearers[:2]
    edited = PasteNearest(EDIT, [donor], label_map)(face, moved(face, label_map))
    assert (
        edited.image[face.mask == label_map.id_of("eye_g")] != face.image[face.mask == label_map.id_of("eye_g")]
    ).any()
