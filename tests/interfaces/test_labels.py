"""Label maps, errors and hints."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.interfaces import (
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
