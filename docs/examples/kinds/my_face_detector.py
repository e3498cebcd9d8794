"""A plugin for facekit in one file: a face detector for photos that were taken with care.

facekit edit RUN photo.jpg --script script.yaml -o result.png --detector middle --plugin-file my_face_detector.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.interfaces import BuildContext, DetectedFace, Options
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MiddleOptions(Options):
    """Options of the detector."""

    share: float = Field(0.5, gt=0, le=1)
    """The face's side as a share of the photo's shorter side."""


MIDDLE = ComponentSpec(
    interface_version=1,
    kind="face_detector",
    id="my_face_detector/middle",
    summary="Says that there is one face, upright and in the middle of the photo.",
    options=MiddleOptions,
    factory="my_face_detector:build_face_detector",
)


class Middle:
    """Finds what it was told to find; see ``facekit.interfaces.FaceDetector``."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, photo: NDArray[np.uint8]) -> tuple[DetectedFace, ...]:
        """Return one face for any photo (H, W, 3)."""
        height, width = photo.shape[:2]
        side = self.share * min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        # Where a face's eyes, nose and mouth lie in a square around it.
        places = ((0.31, 0.37), (0.69, 0.37), (0.5, 0.58), (0.35, 0.76), (0.65, 0.76))
        landmarks = tuple((left + x * side, top + y * side) for x, y in places)
        return (DetectedFace((left, top, left + side, top + side), 1.0, landmarks),)


def build_face_detector(options: MiddleOptions, context: BuildContext) -> Middle:
    """Build the detector."""
    return Middle(options.share)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the component."""
    return [MIDDLE]
