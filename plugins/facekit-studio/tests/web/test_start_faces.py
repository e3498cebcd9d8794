"""The faces that a session begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekit.inference import FacePipeline, load
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.web import faces as room
from facekit_studio.web.faces import start_faces


@pytest.fixture
def pipelines(run: Path, merged_run: Path) -> list[FacePipeline]:
    return [load(folder, device="cpu") for folder in (run, run, merged_run)]


def test_faces_are_drawn_where_the_data_is_gone(pipelines: list[FacePipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object) -> None:
        raise FacekitError("there is no such folder", where="data/faces")

    monkeypatch.setattr(room, "open_dataset", gone)
    notes: list[str] = []
    registry = load_registry()
    faces = start_faces(pipelines, side=48, registry=registry, drawn="synthetic_faces", report=notes.append, count=3)
    assert notes[0] == "the data of Tiny Run cannot be taken: there is no such folder"
    assert [face.source for face in faces] == ["drawn"] * 6
    assert len({face.identity for face in faces}) == 6
    own, merged = faces[0], faces[3]
    assert own.square.shape == (48, 48, 3)
    assert (own.label_map, merged.label_map) == (pipelines[0].label_map, pipelines[2].label_map)
    assert np.array_equal(own.square, merged.square)
    table = merged.label_map.merge_table(own.label_map)
    assert np.array_equal(table[own.ids], merged.ids)
    for drawn in (None, "nobody_offers_this"):
        assert start_faces(pipelines, side=48, registry=registry, drawn=drawn, report=notes.append) == []


def test_they_lie_spread_over_the_validation_split(pipelines: list[FacePipeline]) -> None:
    faces = start_faces(pipelines[:1], side=32, registry=load_registry(), drawn=None, report=pytest.fail, count=2)
    assert [face.name for face in faces] == ["validation-00000", "validation-00003"]
    assert [face.identity for face in faces] == ["data-validation-00000", "data-validation-00003"]
