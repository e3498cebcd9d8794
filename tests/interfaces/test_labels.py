"""Label maps, errors and hints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facekit.data.store import label_map_document, label_map_from
from facekit.interfaces import (
    NO_LABELS,
    BuildContext,
    FacekitError,
    LabelClass,
    LabelMap,
    Options,
    RunFailure,
    did_you_mean,
    nearest,
)

FACE = LabelMap(
    "face",
    (LabelClass("skin", (1, 2, 3)), LabelClass("left_eye", (4, 5, 6)), LabelClass("right_eye", (7, 8, 9))),
    mirrored=(("left_eye", "right_eye"),),
)


def test_names_and_ids() -> None:
    assert len(FACE) == 3
    assert FACE.names == ("skin", "left_eye", "right_eye")
    assert FACE.ids_of(["right_eye", "skin"]) == (2, 0)
    with pytest.raises(KeyError, match="has no class 'nose'; it has skin, left_eye, right_eye"):
        FACE.id_of("nose")


def test_a_label_map_without_classes() -> None:
    assert not NO_LABELS
    assert len(NO_LABELS) == 0
    assert NO_LABELS.names == ()
    assert (NO_LABELS.mirror_table() == np.arange(256)).all()
    assert (NO_LABELS.colour_table() == (255, 0, 255)).all()
    assert label_map_from(json.loads(json.dumps(label_map_document(NO_LABELS)))) == NO_LABELS
    with pytest.raises(KeyError, match="'none' has no class 'skin'; it has none"):
        NO_LABELS.id_of("skin")
    with pytest.raises(ValueError, match="mirrors 'left'"):
        replace(NO_LABELS, mirrored=(("left", "right"),))
    with pytest.raises(ValueError, match="is no merged form of 'none'"):
        FACE.merge_table(NO_LABELS)


def test_mirroring_swaps_sides_and_twice_is_nothing() -> None:
    table = FACE.mirror_table()
    assert table[:4].tolist() == [0, 2, 1, 3]
    assert (table[table] == np.arange(256)).all()


def test_colours() -> None:
    mask = np.array([[0, 1], [2, 200]], dtype=np.uint8)
    assert FACE.colourise(mask).tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [255, 0, 255]]]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="names a class twice"):
        LabelMap("twice", (LabelClass("a", (0, 0, 0)), LabelClass("a", (0, 0, 0))))
    with pytest.raises(ValueError, match="mirrors 'b', which is not one of its classes"):
        LabelMap("half", (LabelClass("a", (0, 0, 0)),), mirrored=(("a", "b"),))
    with pytest.raises(ValueError, match="at most 255"):
        LabelMap("many", tuple(LabelClass(str(index), (0, 0, 0)) for index in range(256)))


def coarser(*classes: str, of: str = "face", **more: Any) -> LabelMap:
    return LabelMap("coarse", tuple(LabelClass(name, (0, 0, 0)) for name in classes), of=of, **more)


EYES = (("left_eye", "eye"), ("right_eye", "eye"))


def test_merging_maps_finer_ids_to_coarser_ones() -> None:
    eyes_first = coarser("eye", "skin", merges=EYES)
    assert eyes_first.merged_ids(FACE) == (1, 0, 0)
    table = eyes_first.merge_table(FACE)
    assert (table.shape, table.dtype) == ((256,), np.uint8)
    assert table[:5].tolist() == [1, 0, 0, 3, 4]  # ids outside stay outside
    renamed = coarser("skin", "eye_l", "eye_r", merges=(("left_eye", "eye_l"), ("right_eye", "eye_r")))
    assert replace(renamed, mirrored=(("eye_l", "eye_r"),)).merged_ids(FACE) == (0, 1, 2)


@pytest.mark.parametrize(
    ("classes", "more", "said"),
    [
        (("skin", "eye"), {"merges": EYES, "of": ""}, "must name in `of` the other label map"),
        (("skin", "eye"), {"merges": EYES, "of": "coarse"}, "must name in `of` the other label map"),
        (("skin",), {"merges": EYES}, "merges 'left_eye' into 'eye', which it does not have"),
        (("skin", "eye"), {"merges": (*EYES, EYES[0])}, "merges 'left_eye' into 'eye', but merges it twice"),
        (("skin", "eye"), {"merges": (*EYES, ("skin", "eye"))}, "merges 'skin' into 'eye', but has that class itself"),
    ],
)
def test_merges_that_cannot_be(classes: tuple[str, ...], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        coarser(*classes, **more)


@pytest.mark.parametrize(
    ("label_map", "said"),
    [
        (coarser("skin", "eye", of="other", merges=EYES), "is no merged form of 'face'"),
        (LabelMap("plain", FACE.classes), "is no merged form of 'face'"),
        (
            coarser("skin", "eye", merges=EYES[:1]),
            "'face' has 'right_eye', which keeps no name and is merged into nothing",
        ),
        (coarser("skin", "eye", merges=(*EYES, ("nose", "skin"))), "it merges 'nose', which 'face' does not have"),
        (coarser("skin", "eye", "mouth", merges=EYES), "nothing of 'face' becomes 'mouth'"),
        (
            coarser("skin", "left_eye", "right_eye"),
            "in a mirrored picture 'left_eye' of 'face' becomes 'right_eye', but 'left_eye' becomes 'left_eye'",
        ),
    ],
)
def test_merged_forms_that_do_not_fit(label_map: LabelMap, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        label_map.merge_table(FACE)


def test_mirroring_and_merging_take_any_order() -> None:
    eyes = coarser("skin", "eye", merges=EYES)
    table = eyes.merge_table(FACE)
    assert (table[FACE.mirror_table()][:3] == eyes.mirror_table()[table][:3]).all()


def test_a_merged_label_map_is_written_down_and_read_back() -> None:
    eyes = coarser("skin", "eye", merges=EYES, description="eyes together")
    assert label_map_from(json.loads(json.dumps(label_map_document(eyes)))) == eyes
    assert label_map_from(label_map_document(FACE)) == FACE
    assert set(label_map_document(FACE)) == {"name", "description", "classes", "mirrored"}  # old caches keep their keys


def test_errors_for_people() -> None:
    error = FacekitError("it is wrong", where="file.yaml:3:4", remedy="mend it")
    assert str(error) == "file.yaml:3:4: it is wrong\n  mend it"
    assert str(FacekitError("it is wrong")) == "it is wrong"
    assert (error.exit_code, RunFailure("no disk").exit_code) == (2, 1)


def test_hints() -> None:
    assert did_you_mean("blcks", ["blocks", "filters"]) == "did you mean 'blocks'?"
    assert did_you_mean("BLOCKS", ["blocks"]) == "did you mean 'blocks'?"
    assert did_you_mean("zzz", ["blocks"]) is None
    assert len(nearest("abcd", ["abce", "abcf", "abcg", "abch"])) == 3


def test_dimensions_of_a_build() -> None:
    context = BuildContext(FACE, (), 64, {"style": 8})
    assert context.dimension("style") == 8
    with pytest.raises(KeyError, match=r"settles the dimension 'stile' \(known: style\)"):
        context.dimension("stile")


def test_options_are_frozen_and_finite() -> None:
    class Mine(Options):
        value: float = 1.0

    with pytest.raises(ValueError, match="finite"):
        Mine(value=float("nan"))
    with pytest.raises(ValueError, match="Extra inputs"):
        Mine(valu=2.0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="frozen"):
        Mine().value = 3.0  # type: ignore[misc]
