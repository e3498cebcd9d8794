"""The cascade: a small network proposes, a larger one sorts out, the largest decides and finds the landmarks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facekit.interfaces import BuildContext, DetectedFace

from .boxes import Boxes, Scores, refined, squared, strongest
from .networks import Network
from .options import MtcnnOptions

CELL, STRIDE = 12, 2
"""The first network looks at squares of 12 pixels, every 2 pixels."""

PYRAMID_STEP = 0.709
"""Each picture of the pyramid is smaller by this: half the area."""

SECOND_SIDE, THIRD_SIDE = 24, 48
"""What the second and the third network look at, in pixels."""

_CHUNK = 256


def build(options: MtcnnOptions, context: BuildContext | None = None) -> Mtcnn:
    """Build the detector."""
    return Mtcnn(options)


class Mtcnn:
    """Finds faces; see :class:`facekit.interfaces.FaceDetector`.

    Args:
        options: what to look for.

    Raises:
        FacekitError: the networks are not installed.
    """

    def __init__(self, options: MtcnnOptions) -> None:
        self._options = options
        self._propose, self._sort, self._decide = (Network(name) for name in ("pnet", "rnet", "onet"))

    def __call__(self, photo: NDArray[np.uint8]) -> tuple[DetectedFace, ...]:
        """Return the faces of a photo (H, W, 3) uint8 RGB, the surest first.

        Raises:
            ValueError: the array is no photo.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise ValueError(f"expected a photo (H, W, 3) uint8, got {photo.dtype} {photo.shape}")
        shrink = min(1.0, self._options.largest_side / max(photo.shape[:2]))
        picture = Image.fromarray(np.ascontiguousarray(photo))
        if shrink < 1:
            size = (max(1, round(photo.shape[1] * shrink)), max(1, round(photo.shape[0] * shrink)))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        boxes, scores = self._proposals(picture)
        boxes, scores = self._sorted(picture, boxes, scores)
        boxes, scores, points = self._decided(picture, boxes, scores)
        back = np.array([photo.shape[1] / picture.width, photo.shape[0] / picture.height])
        boxes, points = boxes * np.concatenate([back, back]), points * back
        return tuple(
            DetectedFace(
                box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                score=float(score),
                landmarks=tuple((float(x), float(y)) for x, y in face),
            )
            for box, score, face in zip(boxes, scores, points, strict=True)
        )

    def _proposals(self, picture: Image.Image) -> tuple[Boxes, Scores]:
        shorter = min(picture.size)
        scale = CELL / max(self._options.smallest_face * shorter, CELL)
        found_boxes, found_scores = [np.empty((0, 4))], [np.empty(0)]
        while shorter * scale >= CELL:
            width, height = math.ceil(picture.width * scale), math.ceil(picture.height * scale)
            smaller = picture.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
            offsets, sureness = self._propose(np.asarray(smaller, dtype=np.float32)[None])
            # Rows and columns come exchanged, as they went in.
            columns, rows = np.nonzero(sureness[0, :, :, 1] >= self._options.thresholds[0])
            scores = sureness[0, columns, rows, 1].astype(np.float64)
            corner = np.stack([columns, rows], axis=1) * float(STRIDE)
            factor = np.array([picture.width / width, picture.height / height] * 2)
            boxes = np.concatenate([corner, corner + CELL], axis=1) * factor
            kept = strongest(boxes, scores, overlap=0.5)
            moved = refined(boxes[kept], offsets[0, columns[kept], rows[kept]].astype(np.float64))
            found_boxes.append(moved)
            found_scores.append(scores[kept])
            scale *= PYRAMID_STEP
        boxes, scores = np.concatenate(found_boxes), np.concatenate(found_scores)
        kept = strongest(boxes, scores, overlap=0.7)
        return squared(boxes[kept]), scores[kept]

    def _sorted(self, picture: Image.Image, boxes: Boxes, scores: Scores) -> tuple[Boxes, Scores]:
        if not len(boxes):
            return boxes, scores
        offsets, sureness = self._looked_at(self._sort, picture, boxes, SECOND_SIDE)
        sure = sureness[:, 1] >= self._options.thresholds[1]
        boxes, scores, offsets = boxes[sure], sureness[sure, 1], offsets[sure]
        kept = strongest(boxes, scores, overlap=0.7)
        return squared(refined(boxes[kept], offsets[kept])), scores[kept]

    def _decided(self, picture: Image.Image, boxes: Boxes, scores: Scores) -> tuple[Boxes, Scores, NDArray[np.float64]]:
        if not len(boxes):
            return boxes, scores, np.empty((0, 5, 2))
        offsets, points, sureness = self._looked_at(self._decide, picture, boxes, THIRD_SIDE)
        sure = sureness[:, 1] >= self._options.thresholds[2]
        boxes, scores, offsets, points = boxes[sure], sureness[sure, 1], offsets[sure], points[sure]
        # Five numbers across, then five down, in widths and heights of the box.
        places = np.stack([points[:, :5], points[:, 5:]], axis=2)
        places = boxes[:, None, :2] + places * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = refined(boxes, offsets)
        kept = strongest(boxes, scores, overlap=0.7, of="smaller")
        return boxes[kept], scores[kept], places[kept]

    @staticmethod
    def _looked_at(network: Network, picture: Image.Image, boxes: Boxes, side: int) -> list[NDArray[np.float64]]:
        """Return the network's outputs for the pictures inside the boxes; beyond the photo they are black."""
        outputs = []
        for start in range(0, len(boxes), _CHUNK):
            cut = [_cut(picture, box, side) for box in boxes[start : start + _CHUNK]]
            outputs.append(network(np.stack(cut)))
        return [np.concatenate(parts).astype(np.float64) for parts in zip(*outputs, strict=True)]


def _cut(picture: Image.Image, box: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    left, top, right, bottom = (round(float(value)) for value in box)
    part = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)
