"""Scripts as text: what is read, what is refused and where, and that writing gives the same script back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekit.interfaces import FacekitError, LabelMap
from facekit.recipe import RecipeError
from facekit_studio.editing.script import (
    OPERATIONS,
    EditContext,
    EditScript,
    Reference,
    Runs,
    apply_script,
    parse_script,
    read_script,
    write_script,
)
from facekit_studio.editing.script.masks import Ids
from facekit_studio.editing.script.script import LARGEST_BYTES, MOST_OPERATIONS

EVERYTHING = """
facekit_edit: 1
name: all of it
description: Every operation once.
label_map: celebamask_hq
operations:
  - {do: set, region: hair, runs: {size: [8, 8], runs: "0+3 60+4"}, only: [background, skin]}
  - {do: set, region: hat, stroke: {points: [[0.1, 0.1], [0.5, 0.2]], width: 0.05}}
  - {do: set, region: hat, ellipse: {centre: [0.5, 0.1], radii: [0.2, 0.1], degrees: 30}}
  - {do: set, region: hat, polygon: {points: [[0, 0], [1, 0], [0.5, 0.2]]}}
  - {do: set, region: hair, flood: {at: [0.5, 0.5]}}
  - {do: replace, region: [hat, eye_g], by: hair}
  - {do: remove, region: eye_g, fill: skin}
  - {do: grow, region: l_eye, by: 0.02, over: skin}
  - {do: shrink, region: [u_lip, l_lip], by: 0.01}
  - {do: move, region: nose, by: [0.01, -0.02]}
  - {do: scale, region: [l_eye, r_eye], by: 1.2}
  - {do: scale, region: nose, by: [1.5, 1], over: skin}
  - {do: rotate, region: hat, degrees: -12.5}
  - {do: copy_part, region: hair, mask: other.png, fit: true}
  - {do: mirror}
  - {do: interpolate, mask: other.png, amount: 0.25}
  - {do: open_mouth, amount: 0.4}
  - {do: close_mouth}
  - {do: raise_brows, amount: -0.2}
  - {do: add_glasses, shape: rectangular, tinted: true}
  - {do: reference, photo: look.jpg, mask: look.png}
  - {do: blend_reference, photo: second.jpg, amount: 0.5}
"""


def test_everything_is_read_written_and_read_again(label_map: LabelMap) -> None:
    script = parse_script(EVERYTHING, label_map=label_map)
    assert len(script.operations) == 22
    assert script.name == "all of it"
    assert script.files == ("other.png", "look.jpg", "look.png", "second.jpg")
    assert [look.do for look in script.looks] == ["reference", "blend_reference"]
    text = write_script(script)
    assert parse_script(text, label_map=label_map) == script
    assert write_script(parse_script(text)) == text


def test_json_is_read_too(tmp_path: Path, label_map: LabelMap) -> None:
    path = tmp_path / "script.json"
    path.write_text('{"facekit_edit": 1, "operations": [{"do": "mirror"}, {"do": "open_mouth", "amount": 1}]}')
    script = read_script(path, label_map=label_map)
    assert [operation.do for operation in script.operations] == ["mirror", "open_mouth"]


def test_an_empty_list_changes_nothing(face_mask: Ids, label_map: LabelMap) -> None:
    script = parse_script("facekit_edit: 1\noperations: []\n")
    assert np.array_equal(apply_script(script, face_mask, EditContext(label_map)), face_mask)
    assert parse_script(write_script(script)) == script


MISTAKES = [
    ("facekit_edit: 1\n", 1, 1, "needs `operations:`, a list"),
    ("operations: []\n", 1, 1, "needs the version of the script format"),
    ("facekit_edit: 2\noperations: []\n", 1, 15, "this facekit reads format 1"),
    ("facekit_edit: true\noperations: []\n", 1, 15, "this facekit reads format 1"),
    ("facekit_edit: 1\noperations: 5\n", 2, 13, "expected a list"),
    ("facekit_edit: 1\noperation: []\noperations: []\n", 2, 1, "unknown key 'operation'"),
    ("facekit_edit: 1\nname: [a]\noperations: []\n", 2, 7, "expected text"),
    ("facekit_edit: 1\noperations:\n  - mirror\n", 3, 5, "expected a map with `do:`"),
    ("facekit_edit: 1\noperations:\n  - {region: hair}\n", 3, 5, "needs `do`, the name of an operation"),
    ("facekit_edit: 1\noperations:\n  - {do: mirorr}\n", 3, 10, "there is no operation 'mirorr'"),
    ("facekit_edit: 1\noperations:\n  - {do: mirror, steps: 3}\n", 3, 18, "unknown key 'steps'"),
    ("facekit_edit: 1\noperations:\n  - {do: open_mouth, amount: 1.5}\n", 3, 30, "amount"),
    ("facekit_edit: 1\noperations:\n  - {do: open_mouth, amount: much}\n", 3, 30, "amount"),
    ("facekit_edit: 1\noperations:\n  - {do: grow, region: hair}\n", 3, 5, "needs `by`"),
    ("facekit_edit: 1\noperations:\n  - {do: grow, region: hiar, by: 0.1}\n", 3, 24, "has no class 'hiar'"),
    ("facekit_edit: 1\noperations:\n  - {do: grow, region: [hair, hta], by: 0.1}\n", 3, 31, "has no class 'hta'"),
    ("facekit_edit: 1\noperations:\n  - {do: set, region: hair}\n", 3, 5, "exactly one of runs, stroke"),
    (
        'facekit_edit: 1\noperations:\n  - {do: set, region: hair, runs: {size: [4, 4], runs: "0+17"}}\n',
        3,
        29,
        "the runs go to pixel 17",
    ),
    (
        'facekit_edit: 1\noperations:\n  - {do: set, region: hair, runs: {size: [4, 4], runs: "5+2 6+1"}}\n',
        3,
        29,
        "begins before the one in front of it ends",
    ),
    (
        'facekit_edit: 1\noperations:\n  - {do: set, region: hair, runs: {size: [4, 4], runs: "5-2"}}\n',
        3,
        29,
        "'5-2' is no run",
    ),
    ("facekit_edit: 1\nlabel_map: other\noperations: []\n", 2, 12, "the script is written for masks of other"),
    ("", 1, 1, "the script is empty"),
    ("facekit_edit: 1\noperations: [\n", 3, 1, ""),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_have_places(text: str, line: int, column: int, said: str, label_map: LabelMap) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_script(text, file="s.yaml", label_map=label_map)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert f"s.yaml:{line}:{column}" in message
    assert said in message
    assert "belongs under" not in message  # recipes have sections, scripts have not


def test_all_mistakes_are_told_at_once(label_map: LabelMap) -> None:
    text = "facekit_edit: 1\noperations:\n  - {do: mirorr}\n  - {do: grow, region: hiar, by: 9}\n  - 7\n"
    with pytest.raises(RecipeError) as caught:
        parse_script(text, file="s.yaml", label_map=label_map)
    for place in ("s.yaml:3:10", "s.yaml:4:34", "s.yaml:5:5"):
        assert place in str(caught.value)


@pytest.mark.parametrize("said", ["did you mean 'mirror'?", "did you mean 'hair'"])
def test_near_names_are_given(said: str, label_map: LabelMap) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_script(
            "facekit_edit: 1\noperations: [{do: mirorr}, {do: grow, region: hiar, by: 0.1}]", label_map=label_map
        )
    assert said in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="there is no such edit script"):
        read_script(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FacekitError, match="cannot be read"):
        read_script(tmp_path / "bytes.yaml")
    with (tmp_path / "large.yaml").open("wb") as stream:
        stream.truncate(LARGEST_BYTES + 1)
    with pytest.raises(FacekitError, match="larger than 16,000,000 bytes"):
        read_script(tmp_path / "large.yaml")


def test_too_many_operations() -> None:
    text = "facekit_edit: 1\noperations: [" + "{do: mirror}, " * (MOST_OPERATIONS + 1) + "]"
    with pytest.raises(RecipeError, match="more than 5,000 operations"):
        parse_script(text)


def test_what_is_too_large_to_be_read_is_not_written() -> None:
    many = EditScript(tuple([OPERATIONS["mirror"].model_validate({"do": "mirror"})] * (MOST_OPERATIONS + 1)))
    with pytest.raises(FacekitError, match="has 5,001 operations, and 5,000 are the most"):
        write_script(many)
    line = {"points": [[0.5, 0.5]] * 10_000, "width": 0.1}
    stroke = OPERATIONS["set"].model_validate({"do": "set", "region": "hair", "stroke": line})
    with pytest.raises(FacekitError, match="values, and 200,000 are the most"):
        write_script(EditScript((stroke,) * 7))


def test_a_long_script_is_read() -> None:
    operation = OPERATIONS["set"].model_validate(
        {"do": "set", "region": "hair", "runs": {"size": [64, 64], "runs": "5+2"}}
    )
    script = EditScript((operation,) * 4_000)
    assert parse_script(write_script(script)) == script


def test_what_goes_wrong_while_it_is_applied_says_where(face_mask: Ids, label_map: LabelMap) -> None:
    script = parse_script(
        "facekit_edit: 1\noperations: [{do: mirror}, {do: grow, region: hair, by: 0.1, over: nobody}]"
    )
    with pytest.raises(FacekitError, match="no class 'nobody'") as caught:
        apply_script(script, face_mask, EditContext(label_map))
    assert caught.value.where == "operations[1] (grow)"
    nowhere = parse_script("facekit_edit: 1\noperations: [{do: interpolate, mask: other.png, amount: 0.5}]")
    with pytest.raises(FacekitError, match="nothing to read it with") as caught:
        apply_script(nowhere, face_mask, EditContext(label_map))
    assert caught.value.where == "operations[0] (interpolate): other.png"


def test_another_label_map_is_refused(face_mask: Ids, label_map: LabelMap) -> None:
    script = EditScript((), label_map="other")
    with pytest.raises(FacekitError, match="written for masks of other, and these are of celebamask_hq"):
        apply_script(script, face_mask, EditContext(label_map))


def test_a_mask_of_another_label_map_is_refused(face_mask: Ids, label_map: LabelMap) -> None:
    script = parse_script("facekit_edit: 1\noperations: [{do: interpolate, mask: o.png, amount: 0.5}]")
    context = EditContext(label_map, read_mask=lambda file: np.full((4, 4), 19, np.uint8))
    with pytest.raises(FacekitError, match="no mask of celebamask_hq"):
        apply_script(script, face_mask, context)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (12, 5)])
def test_runs_hold_any_pixels(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(shape))
    for share in (0.0, 0.3, 1.0):
        pixels = random.random(shape) < share
        assert np.array_equal(Runs.of(pixels).pixels(*shape), pixels)


def test_looks_do_not_touch_the_mask(apply: Callable[..., Ids], face_mask: Ids) -> None:
    assert np.array_equal(apply(face_mask, "do: reference, photo: a.jpg"), face_mask)
    assert Reference.model_validate({"do": "reference", "photo": "a.jpg"}).mask is None
