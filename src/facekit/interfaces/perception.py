"""The interfaces of face detectors and face parsers. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from facekit.interfaces.labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")
"""The five points of a face, left and right as they are in the image (the person's right eye comes first)."""


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """A face in a photo.

    Args:
        box: left, top, right, bottom in pixels of the photo; may reach beyond it.
        score: how sure the detector is, 0 to 1.
        landmarks: the points of :data:`LANDMARKS` as (x, y) in pixels of the photo.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...]


class FaceDetector(Protocol):
    """Finds faces and their five landmarks."""

    def __call__(self, photo: NDArray[np.uint8]) -> tuple[DetectedFace, ...]:
        """Return the faces of a photo (H, W, 3) RGB, the surest first; empty where there is none."""
        ...


class Segmenter(Protocol):
    """Assigns each pixel of an aligned face to a class of a label map (a face parser)."""

    @property
    def label_map(self) -> LabelMap:
        """The classes it tells apart."""
        ...

    @property
    def provenance(self) -> str:
        """What it was made of, in one line: the network, and a hash of its weights."""
        ...

    def __call__(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of photos (N, 3, H, W) in [-1, 1], aligned as its training photos were."""
        ...
