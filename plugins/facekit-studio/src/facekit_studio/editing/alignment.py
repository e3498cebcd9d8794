"""Where the square that models paint lies in a photo, and how pixels go from the one to the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facekit.data.geometry import middle_square
from facekit.interfaces import FacekitError
from facekit.interfaces.perception import LANDMARKS, DetectedFace

EYES_TO_SIDE, MOUTH_TO_SIDE, CENTRE_SHIFT = 4.0, 3.6, 0.1
"""The square of CelebA-HQ: its side is the larger of 4 distances between the eyes and 3.6 from eyes to mouth, and its
middle lies a tenth of the way from the eyes to the mouth (Karras et al., Progressive Growing of GANs, ICLR 2018,
appendix C)."""

_MOST_OVERSAMPLING = 8


@dataclass(frozen=True)
class Placement:
    """A square, perhaps turned, in the pixels of a photo.

    Args:
        origin: the corner (x, y) that becomes the top left of the square. A pixel's area goes from its number to the
            next one.
        right: the side (x, y) from there to the top right corner. The side downwards is at a right angle to it.
    """

    origin: tuple[float, float]
    right: tuple[float, float]

    @property
    def side(self) -> float:
        """Its side in pixels of the photo."""
        return math.hypot(*self.right)

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Top left, top right, bottom right, bottom left."""
        (x, y), (right, down) = self.origin, self.right
        return ((x, y), (x + right, y + down), (x + right - down, y + down + right), (x - down, y + right))

    @property
    def upright(self) -> bool:
        """Whether its sides are those of the photo."""
        return self.right[1] == 0 and self.right[0] > 0

    @classmethod
    def whole(cls, width: int, height: int) -> Placement:
        """Return the square of a photo that is aligned already: all of it, or the middle of one that is not square."""
        box = middle_square(width, height)
        return cls((box.left, box.top), (box.side, 0.0))

    @classmethod
    def of_face(cls, face: DetectedFace) -> Placement:
        """Return the square around a face, as CelebA-HQ was aligned.

        Raises:
            FacekitError: the landmarks lie in one point.
        """
        if len(face.landmarks) != len(LANDMARKS):
            raise ValueError(f"expected {len(LANDMARKS)} landmarks, got {len(face.landmarks)}")
        points = np.asarray(face.landmarks, dtype=np.float64)
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        between, down = points[1] - points[0], mouth - eyes
        # Across the face: along the eyes and at a right angle to the line from eyes to mouth, half each.
        across = between + np.array([down[1], -down[0]])
        length = float(np.hypot(*across))
        side = max(EYES_TO_SIDE * float(np.hypot(*between)), MOUTH_TO_SIDE * float(np.hypot(*down)))
        if length < 1e-6 or side < 1:
            raise FacekitError("the landmarks of the face lie in one point")
        right = across / length * side
        below = np.array([-right[1], right[0]])
        origin = eyes + CENTRE_SHIFT * down - right / 2 - below / 2
        return cls((float(origin[0]), float(origin[1])), (float(right[0]), float(right[1])))

    def cut(self, photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Return the square (size, size, 3) of a photo (H, W, 3), antialiased.

        Where the square reaches beyond the photo, the photo's border is repeated.
        """
        photo = np.ascontiguousarray(photo)
        over = min(max(math.ceil(self.side / size), 1), _MOST_OVERSAMPLING)
        fine = size * over
        padded, shift = _padded(photo, self.corners)
        (x, y), (right, down) = self.origin, self.right
        x, y = x + shift[0], y + shift[1]
        step_x, step_y = right / fine, down / fine
        picture = Image.fromarray(padded).transform(
            (fine, fine),
            Image.Transform.AFFINE,
            (step_x, -step_y, x, step_y, step_x, y),
            resample=Image.Resampling.BICUBIC,
        )
        if over > 1:
            picture = picture.resize((size, size), Image.Resampling.LANCZOS)
        return np.asarray(picture)

    def positions(self, size: int, *, top: int, left: int, height: int, width: int) -> NDArray[np.float64]:
        """Return where pixels of the photo lie in the square.

        Args:
            size: pixels of the square's side.
            top: the first row of the photo that is asked for; ``left`` the first column.
            height: how many rows; ``width`` how many columns.

        Returns:
            (2, height, width): row and column of each pixel's middle in the square, where the middle of the first pixel
            is 0.
        """
        rows, columns = np.indices((height, width), dtype=np.float64)
        x, y = columns + left + 0.5 - self.origin[0], rows + top + 0.5 - self.origin[1]
        right, down = self.right
        scale = size / self.side**2
        return np.stack([(right * y - down * x) * scale - 0.5, (right * x + down * y) * scale - 0.5])


def _padded(
    photo: NDArray[np.uint8], corners: tuple[tuple[float, float], ...]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return the photo with its border repeated as far as the corners reach, and by how much it moved (x, y)."""
    height, width = photo.shape[:2]
    x, y = [corner[0] for corner in corners], [corner[1] for corner in corners]
    margin = 4  # what interpolation looks at beyond a pixel
    left, right = (max(0, math.ceil(value)) for value in (margin - min(x), max(x) + margin - width))
    top, bottom = (max(0, math.ceil(value)) for value in (margin - min(y), max(y) + margin - height))
    return np.pad(photo, ((top, bottom), (left, right), (0, 0)), mode="edge"), (left, top)
