"""Masks of drawn faces, and how to apply operations to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from facekit.interfaces import DatasetContext, FaceDataset, LabelMap
from facekit.registry import load_registry
from facekit_studio.editing.script import EditContext, apply_script, parse_script
from facekit_studio.editing.script.masks import Ids

Apply = Callable[..., Ids]


@pytest.fixture(scope="session")
def label_map() -> LabelMap:
    return load_registry().label_maps["celebamask_hq"]


@pytest.fixture(scope="session")
def drawn_faces() -> FaceDataset:
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    options = spec.options.model_validate({"train": 40})
    faces: FaceDataset = spec.build(options, DatasetContext(label_maps=registry.label_maps))
    return faces


@pytest.fixture(scope="session")
def face_mask(drawn_faces: FaceDataset, label_map: LabelMap) -> Ids:
    """A drawn face with eyes, brows and both lips, without glasses and hat."""
    for index in range(40):
        mask = np.asarray(drawn_faces.read(index, size=96).mask)
        shown = {label_map.names[value] for value in np.unique(mask)}
        if {"l_eye", "r_eye", "l_brow", "r_brow", "u_lip", "l_lip", "hair"} <= shown and not {"eye_g", "hat"} & shown:
            return mask
    raise AssertionError("none of the drawn faces shows all of it")


@pytest.fixture(scope="session")
def apply(label_map: LabelMap) -> Apply:
    """Apply operations, written as in a script; notes go into ``notes`` where that is given."""

    def run(mask: Ids, *operations: str, notes: list[str] | None = None, **others: Ids) -> Ids:
        def read(file: str) -> Ids:
            return others[file.removesuffix(".png")]

        context = EditContext(label_map, read_mask=read, notes=[] if notes is None else notes)
        text = "facekit_edit: 1\noperations:\n" + "".join(f"  - {{{operation}}}\n" for operation in operations)
        before = mask.copy()
        result = apply_script(parse_script(text, label_map=label_map), mask, context)
        assert np.array_equal(mask, before), "an operation changed the mask it was given"
        assert result.dtype == np.uint8
        assert result.shape == mask.shape
        return result

    return run
