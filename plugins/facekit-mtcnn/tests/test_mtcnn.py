"""The detector on real photos: one that comes with scikit-image, and aligned ones where they are."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facekit.interfaces import LANDMARKS, DetectedFace, FaceDetector
from facekit_mtcnn.boxes import refined, squared, strongest
from facekit_mtcnn.options import MtcnnOptions
from facekit_mtcnn.plugin import MTCNN

REAL = Path(__file__).parents[4] / "shared" / "data" / "celebamask_hq_mini" / "CelebA-HQ-img"


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    from facekit_mtcnn.detector import build

    return build(MtcnnOptions())


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


def test_a_face_is_found_with_its_landmarks(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector(astronaut)
    assert face.score > 0.99
    left, top, right, bottom = face.box
    assert 160 < left < 200
    assert 255 < right < 290
    assert 50 < top < 90
    assert 160 < bottom < 190
    points = dict(zip(LANDMARKS, face.landmarks, strict=True))
    assert math.dist(points["left_eye"], (204.5, 100.5)) < 4
    assert math.dist(points["right_eye"], (247, 102.5)) < 4
    assert points["left_mouth_corner"][0] < points["nose"][0] < points["right_mouth_corner"][0]
    assert points["left_eye"][1] < points["nose"][1] < points["left_mouth_corner"][1]


def test_landmarks_are_in_the_pixels_of_a_large_photo(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector(astronaut)
    large = np.asarray(Image.fromarray(astronaut).resize((1536, 1536), Image.Resampling.BICUBIC))
    (larger,) = detector(large)
    np.testing.assert_allclose(larger.landmarks, np.asarray(face.landmarks) * 3, atol=8)


def test_several_faces_and_none(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    small = np.asarray(Image.fromarray(astronaut).resize((256, 256)))
    scene = np.full((512, 800, 3), 90, np.uint8)
    scene[:, :512] = astronaut
    scene[200:456, 530:786] = small
    found = sorted(detector(scene), key=lambda face: face.box[0])
    assert len(found) == 2
    assert found[1].box[0] > 530
    assert detector(np.full((300, 300, 3), 128, np.uint8)) == ()
    assert detector(np.zeros((5, 7, 3), np.uint8)) == ()


def test_smaller_faces_are_found_when_asked_for(astronaut: NDArray[np.uint8]) -> None:
    from facekit_mtcnn.detector import build

    scene = np.full((800, 800, 3), 90, np.uint8)
    scene[300:428, 300:428] = np.asarray(Image.fromarray(astronaut).resize((128, 128), Image.Resampling.LANCZOS))
    assert build(MtcnnOptions(smallest_face=0.2))(scene) == ()
    assert len(build(MtcnnOptions(smallest_face=0.02))(scene)) == 1


def test_a_wrong_array_is_refused(detector: FaceDetector) -> None:
    with pytest.raises(ValueError, match=r"expected a photo \(H, W, 3\) uint8, got float64"):
        detector(np.zeros((8, 8, 3)))  # type: ignore[arg-type]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the photos of {REAL} are not here")
def test_aligned_photos_are_found_where_they_were_aligned(detector: FaceDetector) -> None:
    """Eyes of CelebA-HQ's photos lie at known places, since they were aligned by them."""
    eyes = []
    for number in range(400, 420):
        faces: tuple[DetectedFace, ...] = detector(np.asarray(Image.open(REAL / f"{number}.jpg").convert("RGB")))
        assert len(faces) == 1, number
        eyes.append([np.asarray(point) / 512 for point in faces[0].landmarks[:2]])
    left, right = np.median(np.asarray(eyes), axis=0)
    np.testing.assert_allclose(left, (0.38, 0.47), atol=0.03)
    np.testing.assert_allclose(right, (0.62, 0.47), atol=0.03)


def test_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 40], [2, 2, 6, 6]], dtype=float)
    scores = np.array([0.5, 0.9, 0.7, 0.6])
    assert strongest(boxes, scores, overlap=0.5).tolist() == [1, 2, 3]
    assert strongest(boxes, scores, overlap=0.5, of="smaller").tolist() == [1, 2]
    assert strongest(boxes[:0], scores[:0], overlap=0.5).tolist() == []
    assert squared(boxes[2:3]).tolist() == [[15, 20, 35, 40]]
    assert refined(boxes[2:3], np.array([[0.1, 0, -0.1, 0.5]])).tolist() == [[21, 20, 29, 50]]


def test_the_plugin_imports_neither_torch_nor_what_runs_the_networks() -> None:
    code = (
        "import sys\nfrom facekit_mtcnn.plugin import MTCNN\nMTCNN.options()\n"
        "assert not {'torch', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert MTCNN.build(MtcnnOptions(), None) is not None  # type: ignore[arg-type]
