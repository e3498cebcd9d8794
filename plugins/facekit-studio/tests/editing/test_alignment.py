"""Where the square lies in a photo, and that cutting and going back agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facekit.interfaces import FacekitError
from facekit.interfaces.perception import DetectedFace
from facekit_studio.editing.alignment import Placement


def face(points: np.ndarray) -> DetectedFace:
    return DetectedFace(box=(0.0, 0.0, 1.0, 1.0), score=1.0, landmarks=tuple((float(x), float(y)) for x, y in points))


# Eyes 64 apart, mouth 64 below: at 256 pixels a face as CelebA-HQ shows it.
UPRIGHT = np.array([[100, 100], [164, 100], [132, 135], [110, 164], [154, 164]], dtype=float)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points - points.mean(0)) @ matrix.T + points.mean(0)


def test_the_square_of_celeba_hq() -> None:
    placement = Placement.of_face(face(UPRIGHT))
    assert placement.side == pytest.approx(256)  # 4 distances between the eyes; 3.6 x 64 down is less
    assert placement.upright
    middle = np.mean(placement.corners, axis=0)
    assert middle == pytest.approx([132, 100 + 0.1 * 64])


def test_a_long_face_is_measured_downwards() -> None:
    points = UPRIGHT.copy()
    points[3:, 1] += 40
    assert Placement.of_face(face(points)).side == pytest.approx(3.6 * 104)


@pytest.mark.parametrize("degrees", [-40, 15, 90, 180])
def test_a_turned_face_has_a_turned_square(degrees: float) -> None:
    straight, tilted = Placement.of_face(face(UPRIGHT)), Placement.of_face(face(turned(UPRIGHT, degrees)))
    assert tilted.side == pytest.approx(straight.side)
    assert math.degrees(math.atan2(tilted.right[1], tilted.right[0])) % 360 == pytest.approx(degrees % 360)
    assert not tilted.upright
    # The corners turn with the face, about the same middle as the landmarks.
    assert turned(np.vstack([UPRIGHT, straight.corners]), 0).shape == (9, 2)
    centre = UPRIGHT.mean(0)
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert np.allclose((np.array(straight.corners) - centre) @ matrix.T + centre, tilted.corners)


def test_landmarks_in_one_point() -> None:
    with pytest.raises(FacekitError, match="lie in one point"):
        Placement.of_face(face(np.full((5, 2), 7.0)))


def test_too_few_landmarks() -> None:
    with pytest.raises(ValueError, match="expected 5 landmarks, got 3"):
        Placement.of_face(face(UPRIGHT[:3]))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (90, 64), (64, 91)])
def test_a_whole_photo_is_cut_as_training_cuts_it(width: int, height: int) -> None:
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    cut = Placement.whole(width, height).cut(photo, 64)
    left, top = (width - 64) // 2, (height - 64) // 2
    assert cut.shape == (64, 64, 3)
    if (width - 64) % 2 == 0 and (height - 64) % 2 == 0:
        assert np.abs(cut.astype(int) - photo[top : top + 64, left : left + 64]).max() <= 1


def gradient(height: int, width: int) -> np.ndarray:
    """A picture whose colour tells the place."""
    rows, columns = np.indices((height, width))
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 25, 120])
def test_pixels_come_from_where_positions_say(degrees: float) -> None:
    photo = gradient(250, 250)
    placement = Placement.of_face(face(turned(UPRIGHT * 0.6 + 40, degrees)))
    size = 64
    cut = placement.cut(photo, size).astype(float)
    places = placement.positions(size, top=0, left=0, height=250, width=250)
    inside = np.argwhere((places > 2).all(0) & (places < size - 3).all(0))
    assert len(inside) > 2000
    for row, column in inside[:: len(inside) // 200]:
        at_row, at_column = places[:, row, column]
        found = cut[round(at_row), round(at_column)]
        step = placement.side / size  # rounding to a pixel of the square
        assert abs(found[0] - column) <= step
        assert abs(found[1] - row) <= step


def test_beyond_the_photo_its_border_is_repeated() -> None:
    photo = np.full((40, 40, 3), 9, np.uint8)
    photo[:, :5] = 200
    cut = Placement((-40.0, 0.0), (80.0, 0.0)).cut(photo, 80)
    assert (cut[:, :38] == 200).all()
    assert cut[20, 70].tolist() == [9, 9, 9]


def test_large_photos_are_antialiased() -> None:
    photo = np.zeros((400, 400, 3), np.uint8)
    photo[::2] = 255  # lines that nearest sampling would keep black or white
    cut = Placement.whole(400, 400).cut(photo, 50)
    assert np.abs(cut.astype(int) - 127).max() < 12
