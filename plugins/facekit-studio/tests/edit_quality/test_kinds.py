from __future__ import annotations

import numpy as np
import pytest

from facekit.interfaces import FacekitError, LabelClass, LabelMap
from facekit_studio.edit_quality.kinds import NAMED_EDITS, SEEN, Share, named_edit
from facekit_studio.editing.script import EditContext, apply_script


@pytest.mark.parametrize("name", NAMED_EDITS)
def test_every_script_changes_a_face_it_is_made_for_into_what_it_should_show(name, faces, label_map):
    edit = NAMED_EDITS[name]
    script = edit.script(label_map)
    made_for = [face for face in faces if edit.is_made_for(face.mask, label_map)]
    assert made_for, "none of the drawn faces"
    wanted = [apply_script(script, face.mask, EditContext(label_map)) for face in made_for]
    assert all((mask != face.mask).any() for mask, face in zip(wanted, made_for, strict=True))
    assert all(edit.shown(mask, label_map).any() for mask in wanted)
    changed = [
        (edit.part(part, mask, label_map) & (mask != face.mask)).any()
        for part in edit.parts
        for mask, face in zip(wanted, made_for, strict=True)
    ]
    assert any(changed)


def test_an_open_mouth_is_closed_and_a_shut_one_opened(faces, label_map):
    opens, closes = named_edit("open_mouth"), named_edit("close_mouth")
    for face in faces:
        assert not (opens.is_made_for(face.mask, label_map) and closes.is_made_for(face.mask, label_map))
        if closes.is_made_for(face.mask, label_map):
            shut = apply_script(closes.script(label_map), face.mask, EditContext(label_map))
            assert opens.is_shown_by(face.mask, label_map)
            assert closes.is_shown_by(shut, label_map)
            assert not opens.is_shown_by(shut, label_map)


def test_a_share_has_both_bounds(label_map: LabelMap):
    mask = np.zeros((50, 50), dtype=np.uint8)
    mask.flat[:10] = label_map.id_of("mouth")
    assert not Share(("mouth",), above=SEEN).holds(mask, label_map)
    assert Share(("mouth",), up_to=SEEN).holds(mask, label_map)
    mask.flat[:11] = label_map.id_of("mouth")
    assert Share(("mouth",), above=SEEN).holds(mask, label_map)
    assert not Share(("mouth",), up_to=SEEN).holds(mask, label_map)


def test_an_unknown_script_is_named_with_the_near_one():
    with pytest.raises(FacekitError, match="no script 'open_mout'") as caught:
        named_edit("open_mout")
    assert "open_mouth" in str(caught.value.remedy)


def test_a_label_map_without_the_class_is_told():
    other = LabelMap("two", (LabelClass("background", (0, 0, 0)), LabelClass("skin", (255, 200, 180))))
    with pytest.raises(FacekitError, match="'eye_g'"):
        named_edit("remove_glasses").script(other)
