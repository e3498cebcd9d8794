"""The renderer of the synthetic faces: determinism, exact masks, attributes that the picture bears out."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from facekit_datasets.synthetic import (
    ATTRIBUTE_NAMES,
    CLASS_IDS,
    SyntheticFace,
    draw_face,
    render,
    sample_parameters,
)

SEED = 0
COUNT = 320
SIZE = 64


@pytest.fixture(scope="module")
def faces() -> list[SyntheticFace]:
    return [draw_face(SEED, index, SIZE) for index in range(COUNT)]


def pixels(face: SyntheticFace, name: str) -> int:
    return int((face.mask == CLASS_IDS[name]).sum())


def centre_x(face: SyntheticFace, name: str) -> float:
    return float(np.nonzero(face.mask == CLASS_IDS[name])[1].mean())


def lab(colour: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIE Lab (D65) of sRGB values (..., 3) in [0, 255]."""
    value = colour / 255.0
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = light @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def mean_lab(faces: list[SyntheticFace], name: str) -> npt.NDArray[np.float64]:
    means = []
    for face in faces:
        inside = face.mask == CLASS_IDS[name]
        if inside.sum() >= 30:
            means.append(lab(face.image[inside].astype(np.float64)).mean(axis=0))
    return np.array(means)


@pytest.mark.parametrize("size", [16, 48, 64, 101])
def test_shapes_and_types(size: int) -> None:
    face = draw_face(3, 7, size)
    assert face.image.shape == (size, size, 3)
    assert face.image.dtype == np.uint8
    assert face.mask.shape == (size, size)
    assert face.mask.dtype == np.uint8
    assert int(face.mask.max()) <= 18
    assert tuple(face.attributes) == ATTRIBUTE_NAMES
    assert all(isinstance(value, bool) for value in face.attributes.values())


def test_equal_arguments_give_equal_bytes_whatever_was_drawn_before() -> None:
    first = draw_face(5, 11, SIZE)
    np.random.seed(1)
    draw_face(5, 12, SIZE)
    again = draw_face(5, 11, SIZE)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert first.attributes == again.attributes


def test_seeds_and_indices_give_different_faces() -> None:
    images = [draw_face(seed, index, 32).image.tobytes() for seed in range(3) for index in range(8)]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("index", range(0, 24))
def test_a_face_is_the_same_at_two_sizes(index: int) -> None:
    small, large = draw_face(SEED, index, 96), draw_face(SEED, index, 288)
    # The middle pixel of every 3x3 block has the small picture's sampling point.
    assert float((small.mask == large.mask[1::3, 1::3]).mean()) > 0.97
    shrunk = large.image.reshape(96, 3, 96, 3, 3).mean(axis=(1, 3))
    assert float(np.abs(shrunk - small.image).mean()) < 4.0
    assert small.attributes == large.attributes


def test_all_classes_occur_early(faces: list[SyntheticFace]) -> None:
    seen = set(np.unique(np.stack([face.mask for face in faces[:64]])).tolist())
    assert seen == set(range(19))


def test_every_face_has_what_every_face_has(faces: list[SyntheticFace]) -> None:
    for index, face in enumerate(faces):
        for name in ("background", "skin", "nose", "u_lip", "l_lip", "neck", "cloth"):
            assert pixels(face, name) > 0, (index, name)
        assert 0.06 < pixels(face, "skin") / SIZE**2 < 0.5, index
        if not face.attributes["Eyeglasses"]:
            for name in ("l_eye", "r_eye"):
                assert pixels(face, name) > 0, (index, name)


@pytest.mark.parametrize("name", ATTRIBUTE_NAMES)
def test_each_attribute_occurs_both_ways(faces: list[SyntheticFace], name: str) -> None:
    share = float(np.mean([face.attributes[name] for face in faces]))
    assert 0.02 < share < 0.98, share


@pytest.mark.parametrize(
    ("attribute", "part", "least"),
    [
        ("Eyeglasses", "eye_g", 60),
        ("Wearing_Hat", "hat", 150),
        ("Wearing_Earrings", "ear_r", 2),
        ("Wearing_Necklace", "neck_l", 4),
        ("Mouth_Slightly_Open", "mouth", 3),
    ],
)
def test_attribute_and_mask_agree(faces: list[SyntheticFace], attribute: str, part: str, least: int) -> None:
    for index, face in enumerate(faces):
        found = pixels(face, part)
        assert (found >= least) if face.attributes[attribute] else (found == 0), (index, found)


def test_hair_attributes_agree_with_the_mask(faces: list[SyntheticFace]) -> None:
    coloured = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair", "Bangs")
    for index, face in enumerate(faces):
        hair = pixels(face, "hair")
        if face.attributes["Bald"]:
            assert hair == 0, index
            assert not any(face.attributes[name] for name in coloured), index
        else:
            assert hair >= 20, (index, hair)
        assert sum(face.attributes[name] for name in coloured[:4]) <= 1, index


def test_bangs_cover_the_forehead(faces: list[SyntheticFace]) -> None:
    def forehead_hair(face: SyntheticFace) -> float:
        rows, columns = np.nonzero(face.mask == CLASS_IDS["nose"])
        row = int(rows.min()) - round(0.13 * SIZE)
        column = round(float(columns[rows == rows.min()].mean()))
        return float((face.mask[row - 1 : row + 2, column - 2 : column + 3] == CLASS_IDS["hair"]).mean())

    bare = [face for face in faces if not face.attributes["Wearing_Hat"]]
    covered = np.mean([forehead_hair(face) for face in bare if face.attributes["Bangs"]])
    free = np.mean([forehead_hair(face) for face in bare if not face.attributes["Bangs"]])
    assert covered > 0.9
    assert free < 0.2


def test_beards_and_their_absence_exclude_each_other(faces: list[SyntheticFace]) -> None:
    for face in faces:
        bearded = ("Goatee", "Mustache", "5_o_Clock_Shadow")
        if face.attributes["No_Beard"]:
            assert not any(face.attributes[name] for name in bearded)
        if not face.attributes["Male"]:
            assert face.attributes["No_Beard"]


@pytest.mark.parametrize("part", ["eye", "brow", "ear"])
def test_sides_are_the_persons_own(faces: list[SyntheticFace], part: str) -> None:
    compared = 0
    for face in faces:
        if pixels(face, f"l_{part}") and pixels(face, f"r_{part}"):
            assert centre_x(face, f"r_{part}") < centre_x(face, f"l_{part}")
            compared += 1
    assert compared > 50


def test_turning_the_head_hides_the_far_ear() -> None:
    face = next(p for p in (sample_parameters(SEED, i) for i in range(99)) if p.hair.style == "bald")
    turned = {
        yaw: render(dataclasses.replace(face, pose=dataclasses.replace(face.pose, yaw=yaw, roll=0.0)), 128)
        for yaw in (-26.0, 0.0, 26.0)
    }
    assert pixels(turned[0.0], "l_ear") > 20
    assert pixels(turned[0.0], "r_ear") > 20
    # Positive yaw looks to the picture's right: the person's left ear is the far one.
    assert pixels(turned[26.0], "l_ear") < 0.5 * pixels(turned[26.0], "r_ear")
    assert pixels(turned[-26.0], "r_ear") < 0.5 * pixels(turned[-26.0], "l_ear")


def test_skin_and_hair_colours_spread_widely(faces: list[SyntheticFace]) -> None:
    skin, hair = mean_lab(faces, "skin"), mean_lab(faces, "hair")
    assert skin.std(axis=0)[0] > 12.0
    assert hair.std(axis=0)[0] > 15.0
    assert hair.std(axis=0)[1:].min() > 5.0


def test_a_changed_hair_colour_changes_the_hair_and_nothing_else() -> None:
    face = next(p for p in (sample_parameters(1, i) for i in range(99)) if p.hair.style == "long" and not p.male)
    colours = ("black", "platinum")
    black, light = (
        render(dataclasses.replace(face, hair=dataclasses.replace(face.hair, colour=colour)), SIZE)
        for colour in colours
    )
    assert np.array_equal(black.mask, light.mask)
    assert black.attributes["Black_Hair"]
    assert light.attributes["Blond_Hair"]
    difference = np.abs(black.image.astype(int) - light.image.astype(int)).sum(axis=-1)
    inside = black.mask == CLASS_IDS["hair"]
    assert difference[inside].mean() > 100
    cloth = black.mask == CLASS_IDS["cloth"]
    assert difference[cloth].mean() < 20


def test_smiles_raise_the_corners_of_the_mouth() -> None:
    face = sample_parameters(SEED, 2)
    face = dataclasses.replace(face, pose=dataclasses.replace(face.pose, yaw=0.0, roll=0.0, pitch=0.0))
    heights = []
    for smile in (-0.15, 0.9):
        drawn = render(dataclasses.replace(face, mouth=dataclasses.replace(face.mouth, smile=smile, opening=0.0)), 128)
        rows, columns = np.nonzero((drawn.mask == CLASS_IDS["u_lip"]) | (drawn.mask == CLASS_IDS["l_lip"]))
        ends = (columns < np.quantile(columns, 0.1)) | (columns > np.quantile(columns, 0.9))
        heights.append(float(rows[ends].mean() - rows[~ends].mean()))
    assert heights[1] < heights[0] - 1.0


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels, got 8"):
        draw_face(0, 0, 8)
    with pytest.raises(ValueError, match="must not be negative, got seed=-1"):
        draw_face(-1, 0, 64)
    with pytest.raises(ValueError, match="index=-4"):
        sample_parameters(0, -4)
