"""dlib's face recognition: landmarks of a photo, and the embedding of a face. Evaluation only: it has no gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facekit.interfaces import FacekitError, LabelMap
from facekit.interfaces.files import require_sha256

from .features.extractor import bicubic_antialiased
from .packaged import package_folder

RECOGNISER = "dlib_face_recognition_resnet_model_v1.dat"
PREDICTOR = "shape_predictor_5_face_landmarks.dat"

SHA256 = {
    RECOGNISER: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    PREDICTOR: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
"""Of the files in dlib-models, which are those of the package. dlib's readers are C++: they are shown no other file."""

INSTALL = "pip install 'facekit-metrics[identity]'"

SIDE = 512
"""Pixels to which pictures are resized: dlib's detector sees faces from 80 pixels on, and faces fill half a picture."""

DIMENSION = 128

FACE_CLASSES = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "eye", "l_brow", "r_brow", "brow", "mouth", "u_lip", "l_lip"),
)
"""Classes that the box of a face is made of, where dlib sees none."""

BOX_IN_FACE = (-0.07, 0.16, 1.03, 0.96)
"""Left, top, right and bottom of dlib's box, as shares of the box of :data:`FACE_CLASSES`: the mean over 149 training
photos of CelebAMask-HQ, whose deviation is 0.05 to 0.09."""

Landmarks = Any
"""dlib's ``full_object_detection``, which says nothing of its type."""


def models_folder(folder: Path | None) -> Path:
    """Return the folder with dlib's models: the one that is given, or that of the package ``face-recognition-models``.

    The package is looked for and not imported: it wants ``pkg_resources``, which newer Pythons do not have.

    Raises:
        FacekitError: the package is not installed.
    """
    if folder is not None:
        return folder.expanduser()
    remedy = f"{INSTALL}, or name a folder with {RECOGNISER} and {PREDICTOR} by `models:`"
    return package_folder("face_recognition_models", missing="the models of identity", remedy=remedy) / "models"


def face_classes(label_map: LabelMap) -> tuple[int, ...]:
    """Return the ids of the classes that the box of a face is made of; empty where the label map has none of them."""
    return label_map.ids_of([name for name in FACE_CLASSES if name in label_map.names])


def to_levels(picture: Tensor) -> Tensor:
    """Return a picture (3, H, W) in [-1, 1] as dlib sees it: (SIDE, SIDE, 3) uint8 on the CPU."""
    resized = bicubic_antialiased(picture.detach().float().cpu().unsqueeze(0), SIDE)[0]
    return ((resized + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def face_box(mask: Tensor, classes: Collection[int]) -> tuple[float, float, float, float] | None:
    """Return where dlib would see the face that a mask shows.

    Args:
        mask: class ids (H, W).
        classes: those of the face.

    Returns:
        left, top, right and bottom as shares of the picture's sides; None where the mask shows no face.
    """
    rows, columns = torch.isin(mask.cpu(), torch.tensor(sorted(classes), dtype=mask.dtype)).nonzero(as_tuple=True)
    if not len(rows):
        return None
    height, width = mask.shape
    left, right = float(columns.min()) / width, float(columns.max() + 1) / width
    top, bottom = float(rows.min()) / height, float(rows.max() + 1) / height
    across, down = right - left, bottom - top
    return (
        left + BOX_IN_FACE[0] * across,
        top + BOX_IN_FACE[1] * down,
        left + BOX_IN_FACE[2] * across,
        top + BOX_IN_FACE[3] * down,
    )


class DlibFaces:
    """dlib's detector, its predictor of five landmarks and its embedding (ResNet, 99.38 % on LFW).

    Landmarks are found in real photos only, and used for what was generated as well: nothing has to be found in a
    painting, and a crooked one cannot straighten itself.

    Args:
        folder: where the two model files are.

    Raises:
        FacekitError: dlib is not installed, or a file is missing or another.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import dlib
        except ImportError as error:
            raise FacekitError(
                "identity needs dlib, which is not installed", where="metrics", remedy=INSTALL
            ) from error
        for name, digest in SHA256.items():
            if not (folder / name).is_file():
                raise FacekitError(
                    "a model of identity is not there",
                    where=str(folder / name),
                    remedy=f"{INSTALL}, or correct `models:`",
                )
            require_sha256(folder / name, digest, what="identity", again=f"{INSTALL} again")
        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(folder / PREDICTOR))
        self._network = dlib.face_recognition_model_v1(str(folder / RECOGNISER))
        self._photos: dict[bytes, tuple[Landmarks | None, Tensor | None]] = {}

    def photo(self, photo: Tensor, mask: Tensor | None, classes: Collection[int]) -> tuple[Landmarks, Tensor] | None:
        """Return the landmarks and the embedding of a real photo; None where no face is found. Each is computed once.

        Args:
            photo: (3, H, W) in [-1, 1].
            mask: its class ids (H, W), for photos in which dlib sees no face; None where there is none.
            classes: those of the face in the mask.
        """
        digest = hashlib.sha256(((photo + 1) * 127.5).round().to(torch.uint8).cpu().numpy().tobytes())
        if mask is not None:
            digest.update(mask.cpu().numpy().tobytes() + bytes(classes))
        key = digest.digest()
        if key not in self._photos:
            landmarks = self._landmarks(to_levels(photo), mask, classes)
            self._photos[key] = (landmarks, None if landmarks is None else self.embedding(photo, landmarks))
        landmarks, embedding = self._photos[key]
        return None if embedding is None else (landmarks, embedding)

    def embedding(self, picture: Tensor, landmarks: Landmarks) -> Tensor:
        """Return the embedding (128,) float64 of a picture (3, H, W) in [-1, 1], upright by landmarks of a photo."""
        found = self._network.compute_face_descriptor(to_levels(picture).numpy(), landmarks)
        return torch.tensor(list(found), dtype=torch.float64)

    def _landmarks(self, levels: Tensor, mask: Tensor | None, classes: Collection[int]) -> Landmarks | None:
        pixels = levels.numpy()
        found = list(self._detector(pixels, 0))
        expected = None if mask is None else face_box(mask, classes)
        if found:
            return self._predictor(pixels, max(found, key=lambda box: _closeness(box, expected)))
        if expected is None:
            return None
        return self._predictor(pixels, self._dlib.rectangle(*(round(side * SIDE) for side in expected)))


def _closeness(box: Any, expected: tuple[float, float, float, float] | None) -> float:
    """Return how much of a box is where the mask has the face; its size where there is no mask."""
    if expected is None:
        return float(box.area())
    left, top, right, bottom = (side * SIDE for side in expected)
    across = min(box.right(), right) - max(box.left(), left)
    down = min(box.bottom(), bottom) - max(box.top(), top)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (float(box.area()) + (right - left) * (bottom - top) - shared)


@lru_cache(maxsize=2)
def dlib_faces(folder: Path) -> DlibFaces:
    """Return dlib's faces; those of a folder are shared, so that photos are embedded once for all systems."""
    return DlibFaces(folder)
