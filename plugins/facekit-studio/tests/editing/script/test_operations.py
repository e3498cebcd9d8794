"""What each operation does to a mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from facekit.interfaces import FacekitError, LabelMap
from facekit.registry import load_registry
from facekit_studio.editing.script import OPERATIONS, EditContext, Runs
from facekit_studio.editing.script.anatomy import EyePair, eyes_of
from facekit_studio.editing.script.masks import Ids, extent_of

Apply = Callable[..., Ids]


def of(label_map: LabelMap, mask: Ids, name: str) -> np.ndarray:
    return mask == label_map.id_of(name)


@pytest.fixture
def small(label_map: LabelMap) -> Ids:
    """Skin in background, 10 x 10, with a nose of one pixel and a mouth of three."""
    mask = np.zeros((10, 10), np.uint8)
    mask[2:8, 2:8] = label_map.id_of("skin")
    mask[4, 5] = label_map.id_of("nose")
    mask[6, 4:7] = label_map.id_of("mouth")
    return mask


class TestPainting:
    def test_exact_pixels(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        result = apply(small, 'do: set, region: hair, runs: {size: [10, 10], runs: "0+3 95+5"}')
        assert np.flatnonzero(result.ravel() != small.ravel()).tolist() == [0, 1, 2, 95, 96, 97, 98, 99]
        assert of(label_map, result, "hair").sum() == 8

    def test_pixels_painted_on_another_size_are_scaled(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        pixels = np.zeros((20, 20), bool)
        pixels[4:8, 10:20] = True
        runs = Runs.of(pixels)
        result = apply(small, f'do: set, region: hat, runs: {{size: [20, 20], runs: "{runs.runs}"}}')
        expected = np.zeros((10, 10), bool)
        expected[2:4, 5:10] = True
        assert np.array_equal(of(label_map, result, "hat"), expected)

    def test_only_over_some_classes(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        result = apply(small, "do: set, region: hair, ellipse: {centre: [0.5, 0.5], radii: [1, 1]}, only: background")
        assert np.array_equal(of(label_map, result, "hair"), of(label_map, small, "background"))
        assert np.array_equal(result[small != 0], small[small != 0])

    def test_a_stroke_is_as_wide_as_it_says(self, apply: Apply) -> None:
        mask = np.zeros((100, 100), np.uint8)
        result = apply(mask, "do: set, region: hair, stroke: {points: [[0.2, 0.5], [0.8, 0.5]], width: 0.1}")
        extent = extent_of(result > 0)
        assert extent is not None
        assert (extent.height, extent.width) == (10, 70)  # 60 along, and half the width at either end

    def test_a_dot(self, apply: Apply) -> None:
        result = apply(
            np.zeros((50, 50), np.uint8), "do: set, region: hair, stroke: {points: [[0.5, 0.5]], width: 0.2}"
        )
        assert abs(int((result > 0).sum()) - np.pi * 25) < 8

    def test_a_polygon(self, apply: Apply) -> None:
        result = apply(
            np.zeros((40, 40), np.uint8), "do: set, region: hair, polygon: {points: [[0, 0], [1, 0], [0, 1]]}"
        )
        assert result[0, 0]
        assert result[5, 5]
        assert not result[39, 39]
        assert not result[30, 30]

    def test_a_fill_stays_in_its_area(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        mask = small.copy()
        mask[0, :] = label_map.id_of("skin")  # another area of the same class
        result = apply(mask, "do: set, region: cloth, flood: {at: [0.25, 0.25]}")
        assert np.array_equal(of(label_map, result, "cloth"), of(label_map, small, "skin"))
        assert (result[0] == label_map.id_of("skin")).all()

    def test_replace(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        result = apply(small, "do: replace, region: [nose, mouth], by: skin")
        assert of(label_map, result, "skin").sum() == 36
        assert set(np.unique(result)) == {0, label_map.id_of("skin")}

    def test_remove_lets_the_neighbours_flow_in(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        result = apply(small, "do: remove, region: mouth")
        assert (result[6, 4:7] == label_map.id_of("skin")).all()
        assert apply(small, "do: remove, region: mouth, fill: hair")[6, 5] == label_map.id_of("hair")

    def test_grow_and_shrink(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        grown = apply(small, "do: grow, region: nose, by: 0.1")
        assert of(label_map, grown, "nose").sum() == 5  # the pixel and its four neighbours
        kept = apply(small, "do: grow, region: skin, by: 0.2, over: background")
        assert (of(label_map, kept, "nose").sum(), of(label_map, kept, "mouth").sum()) == (1, 3)
        assert of(label_map, kept, "skin").sum() > 32
        shrunk = apply(small, "do: shrink, region: mouth, by: 0.1")
        assert not of(label_map, shrunk, "mouth").any()
        assert np.array_equal(shrunk, apply(small, "do: remove, region: mouth"))


class TestMoving:
    def test_a_part_keeps_its_form(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        moved = apply(face_mask, "do: move, region: nose, by: [0.05, -0.04]")
        before, after = (of(label_map, mask, "nose") for mask in (face_mask, moved))
        assert np.array_equal(np.roll(before, (-4, 5), axis=(0, 1)), after)  # 96 pixels a side

    def test_there_and_back_over_plain_skin(self, apply: Apply, small: Ids) -> None:
        away = apply(small, "do: move, region: nose, by: [0.1, 0]")
        assert not np.array_equal(away, small)
        assert np.array_equal(apply(away, "do: move, region: nose, by: [-0.1, 0]"), small)

    def test_parts_move_as_one_piece(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        turned = apply(face_mask, "do: rotate, region: [l_eye, r_eye], degrees: 90")
        eyes = [extent_of(of(label_map, turned, name)) for name in ("l_eye", "r_eye")]
        assert eyes[0] is not None
        assert eyes[1] is not None
        # Clockwise: what was right (the person's left eye) is below.
        assert eyes[0].centre[1] - eyes[1].centre[1] > 10
        assert abs(eyes[0].centre[0] - eyes[1].centre[0]) < 5

    def test_scale(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        before, after = (
            extent_of(of(label_map, mask, "nose"))
            for mask in (face_mask, apply(face_mask, "do: scale, region: nose, by: [2, 1]"))
        )
        assert before is not None
        assert after is not None
        assert abs(after.width - 2 * before.width) <= 1
        assert after.height == before.height

    def test_a_part_covers_only_what_it_may(self, apply: Apply, small: Ids, label_map: LabelMap) -> None:
        result = apply(small, "do: move, region: nose, by: [0, 0.2], over: skin")
        assert not of(label_map, result, "nose").any()  # the mouth lies there
        assert of(label_map, result, "mouth").sum() == 3

    def test_mirror_exchanges_left_and_right(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        result = apply(face_mask, "do: mirror")
        assert np.array_equal(of(label_map, result, "l_eye"), of(label_map, face_mask, "r_eye")[:, ::-1])
        assert np.array_equal(apply(result, "do: mirror"), face_mask)

    def test_copy_from_another_face(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        other = np.roll(face_mask, 6, axis=1)
        result = apply(face_mask, "do: copy_part, region: nose, mask: other.png", other=other)
        assert np.array_equal(of(label_map, result, "nose"), of(label_map, other, "nose"))
        fitted = apply(face_mask, "do: copy_part, region: nose, mask: other.png, fit: true", other=other)
        ours, theirs = extent_of(of(label_map, face_mask, "nose")), extent_of(of(label_map, fitted, "nose"))
        assert ours is not None
        assert theirs is not None
        assert abs(ours.centre[0] - theirs.centre[0]) <= 1  # laid on this face, not where it was in the other picture

    def test_a_part_the_other_face_lacks(self, apply: Apply, face_mask: Ids) -> None:
        notes: list[str] = []
        result = apply(face_mask, "do: copy_part, region: hat, mask: other.png", other=face_mask, notes=notes)
        assert np.array_equal(result, face_mask)
        assert notes == ["other.png shows no hat to copy"]

    def test_interpolation_reaches_both_ends(self, apply: Apply, face_mask: Ids) -> None:
        other = np.roll(face_mask, 8, axis=0)
        ends = [apply(face_mask, f"do: interpolate, mask: o.png, amount: {amount}", o=other) for amount in (0, 1)]
        assert np.array_equal(ends[0], face_mask)
        assert np.array_equal(ends[1], other)

    def test_interpolation_goes_half_way(self, apply: Apply) -> None:
        first, second = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
        first[:, :10] = second[:, :30] = 1
        half = apply(first, "do: interpolate, mask: o.png, amount: 0.5", o=second)
        assert abs(int((half[20] == 1).sum()) - 20) <= 1


class TestFaces:
    @pytest.mark.parametrize("amount", [0.2, 0.6])
    def test_an_opened_mouth_shows_its_inside(
        self, apply: Apply, face_mask: Ids, label_map: LabelMap, amount: float
    ) -> None:
        result = apply(face_mask, f"do: open_mouth, amount: {amount}")
        lips = extent_of(of(label_map, face_mask, "u_lip") | of(label_map, face_mask, "l_lip"))
        assert lips is not None
        opened = extent_of(of(label_map, result, "mouth"))
        before = extent_of(of(label_map, face_mask, "mouth"))
        assert opened is not None
        gain = opened.height - (before.height if before else 0)
        assert abs(gain - amount / 2 * lips.width) <= 2
        assert np.array_equal(of(label_map, result, "u_lip"), of(label_map, face_mask, "u_lip"))
        assert of(label_map, result, "l_lip").sum() == of(label_map, face_mask, "l_lip").sum()

    def test_closing_takes_the_inside_away(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        opened = apply(face_mask, "do: close_mouth", "do: open_mouth, amount: 0.5")
        closed = apply(opened, "do: close_mouth")
        assert of(label_map, opened, "mouth").any()
        assert not of(label_map, closed, "mouth").any()
        # The lip sank by whole pixels along a curve; only at its ends may it come back one beside.
        assert (closed != apply(face_mask, "do: close_mouth")).sum() <= 4

    def test_brows_rise_towards_twice_their_distance(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        def height(mask: Ids) -> float:
            brows = extent_of(of(label_map, mask, "l_brow") | of(label_map, mask, "r_brow"))
            assert brows is not None
            return brows.centre[1]

        eyes = extent_of(of(label_map, face_mask, "l_eye") | of(label_map, face_mask, "r_eye"))
        assert eyes is not None
        distance = eyes.centre[1] - height(face_mask)
        raised = apply(face_mask, "do: raise_brows, amount: 0.5")
        lowered = apply(face_mask, "do: raise_brows, amount: -0.3")
        assert abs(height(face_mask) - height(raised) - distance / 2) <= 1
        assert height(lowered) > height(face_mask)

    def test_glasses_on_and_off(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        clear = apply(face_mask, "do: add_glasses")
        glasses = of(label_map, clear, "eye_g")
        assert 0.01 < glasses.mean() < 0.2
        for name in ("l_eye", "r_eye", "l_brow"):
            assert np.array_equal(of(label_map, clear, name), of(label_map, face_mask, name))
        off = apply(clear, "do: remove, region: eye_g")
        assert not of(label_map, off, "eye_g").any()
        # Only where glasses were can anything differ, and hardly anything but the top of the nose does.
        assert np.array_equal(off[~glasses], face_mask[~glasses])
        assert (off != face_mask).mean() < 0.02

    def test_sunglasses_hide_the_eyes_and_leave_new_ones(
        self, apply: Apply, face_mask: Ids, label_map: LabelMap
    ) -> None:
        dark = apply(face_mask, "do: add_glasses, shape: rectangular, tinted: true, size: 1.3")
        assert not of(label_map, dark, "l_eye").any()
        assert not of(label_map, dark, "r_eye").any()
        off = apply(dark, "do: remove, region: eye_g")
        for name in ("l_eye", "r_eye"):
            new, old = extent_of(of(label_map, off, name)), extent_of(of(label_map, face_mask, name))
            assert new is not None
            assert old is not None
            assert np.hypot(new.centre[0] - old.centre[0], new.centre[1] - old.centre[1]) < 0.06 * 96

    def test_larger_glasses_cover_more(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        areas = [
            of(label_map, apply(face_mask, f"do: add_glasses, size: {size}"), "eye_g").sum() for size in (0.6, 1, 1.5)
        ]
        assert areas == sorted(areas)
        assert areas[0] < areas[2]

    def test_glasses_need_eyes(self, apply: Apply, small: Ids) -> None:
        notes: list[str] = []
        assert np.array_equal(apply(small, "do: add_glasses", notes=notes), small)
        assert notes == ["the mask does not show two eyes, so glasses cannot be put on"]

    def test_hair_lies_where_a_hat_was(self, apply: Apply, face_mask: Ids, label_map: LabelMap) -> None:
        skin = extent_of(of(label_map, face_mask, "skin"))
        assert skin is not None
        hatted = face_mask.copy()
        hatted[: skin.top + 4] = label_map.id_of("hat")
        result = apply(hatted, "do: remove, region: hat")
        assert not of(label_map, result, "hat").any()
        column = round(skin.centre[0])
        assert result[skin.top, column] == label_map.id_of("hair")
        assert result[0, 0] == label_map.id_of("background")  # beyond the head

    @pytest.mark.parametrize(
        ("operation", "said"),
        [
            ("do: open_mouth", "the mask shows no lower lip"),
            ("do: raise_brows", "the mask shows no brows to raise"),
            ("do: remove, region: eye_g", "the mask shows no eye_g"),
            ("do: move, region: [hat, ear_r], by: [0.1, 0]", "the mask shows no hat or ear_r"),
        ],
    )
    def test_nothing_to_act_on_is_said(self, apply: Apply, small: Ids, operation: str, said: str) -> None:
        notes: list[str] = []
        assert np.array_equal(apply(small, operation, notes=notes), small)
        assert notes == [said]


def test_eyes_of_a_label_map_without_sides(face_mask: Ids, label_map: LabelMap) -> None:
    merged = load_registry().label_maps["celebamask_hq_merged"]
    apart = eyes_of(face_mask, EditContext(label_map))
    together = eyes_of(merged.merge_table(label_map)[face_mask], EditContext(merged))
    assert apart is not None
    assert together is not None
    assert np.allclose(np.array(apart), np.array(together), atol=1.0)
    assert isinstance(apart, EyePair)
    assert apart.first[0] < apart.second[0]


def test_the_merged_label_map_can_be_edited_too(face_mask: Ids, label_map: LabelMap) -> None:
    merged = load_registry().label_maps["celebamask_hq_merged"]
    mask = merged.merge_table(label_map)[face_mask]
    for name, fields in {"raise_brows": {}, "add_glasses": {"tinted": True}, "open_mouth": {}}.items():
        context = EditContext(merged)
        result = OPERATIONS[name].model_validate({"do": name, **fields}).apply(mask, context)
        assert not np.array_equal(result, mask), name
        assert context.notes == []
        if name == "add_glasses":
            off = OPERATIONS["remove"].model_validate({"do": "remove", "region": "eye_g"}).apply(result, context)
            assert (off == merged.id_of("eye")).any()
            assert (off == merged.id_of("eye_g")).sum() == 0


@pytest.mark.parametrize("name", sorted(name for name, kind in OPERATIONS.items() if "region" in kind.model_fields))
def test_a_class_nobody_has_is_told(name: str, label_map: LabelMap, face_mask: Ids) -> None:
    kind = OPERATIONS[name]
    fields = {
        "do": name, "region": "hiar", "by": [0.1, 0.1], "degrees": 5, "mask": "m.png", "flood": {"at": [0, 0]},
    }  # fmt: skip
    if name in ("grow", "shrink"):
        fields["by"] = 0.1
    if name == "replace":
        fields["by"] = "skin"
    operation = kind.model_validate({key: value for key, value in fields.items() if key in kind.model_fields})
    with pytest.raises(FacekitError, match="no class 'hiar'") as caught:
        operation.apply(face_mask, EditContext(label_map, read_mask=lambda file: face_mask))
    assert caught.value.remedy == "did you mean 'hair' or 'hat'?"
