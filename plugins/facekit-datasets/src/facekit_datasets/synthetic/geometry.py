"""Where things are: the posed head's coordinates, implicit shapes and noise.

Three coordinate systems, all with x to the right of the picture and y downwards:

* picture units: 0 to 1 over the picture's side;
* head units: picture units with roll, scale and translation undone, origin between the eyes on the head's axis;
* face coordinates ``(face_x, face_y)``: the point of the unturned, frontal face that a pixel of the turned head shows.
  Features are drawn in face coordinates, so yaw and pitch foreshorten them as the head's surface does.

The head is a stack of elliptic cross-sections. A section of half-width ``a`` and half-depth ``b`` turned by the yaw
angle has the silhouette half-width ``r = sqrt(a^2 cos^2 + b^2 sin^2)``, and the ray through a pixel meets it in closed
form.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from .parameters import FaceParameters

FloatArray = npt.NDArray[np.floating[Any]]
Window = tuple[slice, slice]
ALL: Window = (slice(None), slice(None))

CROWN = -0.35
"""Height of the skull's top in head units; the eyes are at 0 and the chin near 0.39, so the eyes halve the head."""
WIDEST = 0.03
"""Height at which the head is widest."""
MOUTH_Y = 0.243
"""Height of the line between the lips."""
EYE_X = 0.107
"""Half the distance between the pupils."""


def smoothstep(low: FloatArray | float, high: FloatArray | float, value: FloatArray) -> FloatArray:
    """Cubic ramp from 0 at ``low`` to 1 at ``high`` (``low`` may be the larger one)."""
    ramp = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp))


def gaussian(x: FloatArray, y: FloatArray, at: tuple[float, float], radius: tuple[float, float]) -> FloatArray:
    """Bell of height 1 around ``at``, with 1/e at ``radius``."""
    squared = np.square((x - at[0]) * (1.0 / radius[0])) + np.square((y - at[1]) * (1.0 / radius[1]))
    return np.asarray(np.exp(-squared))


def ellipse(x: FloatArray, y: FloatArray, at: tuple[float, float], radius: tuple[float, float]) -> FloatArray:
    """Implicit ellipse: negative inside, near the signed distance at the edge."""
    squared = np.square((x - at[0]) * (1.0 / radius[0])) + np.square((y - at[1]) * (1.0 / radius[1]))
    return np.asarray((np.sqrt(squared) - 1.0) * min(radius))


def coverage(field: FloatArray) -> FloatArray:
    """Share of each pixel inside the implicit shape ``field < 0``, from the field and its slope over a pixel.

    It is 0.5 exactly where the field is 0, so ``coverage > 0.5`` is the hard shape.
    """
    down, right = np.gradient(field)
    slope = np.sqrt(down * down + right * right) + 1e-9
    return np.asarray(np.clip(0.5 - field / slope, 0.0, 1.0), dtype=np.float32)


def stroke(distance: FloatArray, half_width: FloatArray | float, pixel: float) -> FloatArray:
    """Coverage of a line from the distance to its middle; lines thinner than a pixel fade."""
    inside = np.clip((half_width - np.abs(distance)) * (1.0 / pixel) + 0.5, 0.0, 1.0)
    return np.asarray(inside * np.clip(half_width * (2.0 / pixel), 0.0, 1.0), dtype=np.float32)


def generator(*keys: int) -> np.random.Generator:
    """A random generator that depends on the keys alone."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(keys))))


def smooth_noise(random: np.random.Generator, cells: int, height: int, width: int) -> FloatArray:
    """Noise of about unit range with ``cells`` knots over the longer side, resized to (height, width)."""
    grid = random.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32)
    return np.array(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


class StrandNoise:
    """Value noise on a wrapped grid, to be looked up at warped coordinates (strands, fabric, bark of hair).

    Args:
        random: source of the grid.
        across: grid cells across the strands, a power of two.
        along: grid cells along them, a power of two.

    Raises:
        ValueError: if either is not a power of two.
    """

    def __init__(self, random: np.random.Generator, across: int = 256, along: int = 16) -> None:
        if across & (across - 1) or along & (along - 1):
            raise ValueError(f"the noise grid's sides must be powers of two, got {across} and {along}")
        grid = random.uniform(-1.0, 1.0, (along, across)).astype(np.float32)
        self._grid = np.pad(grid, ((0, 1), (0, 1)), mode="wrap").ravel()
        self._across = across
        self._along = along

    def __call__(self, across: FloatArray, along: FloatArray) -> FloatArray:
        """Noise in [-1, 1] at grid coordinates (one unit a cell), bilinear between the cells."""
        column, row = np.floor(across), np.floor(along)
        x, y = across - column, along - row
        # Both sides are powers of two, so wrapping is a bit mask, many times faster than a remainder.
        start = (row.astype(np.int32) & (self._along - 1)) * (self._across + 1)
        start += column.astype(np.int32) & (self._across - 1)
        grid = self._grid
        top = grid.take(start)
        start += 1
        top += (grid.take(start) - top) * x
        start += self._across
        right = grid.take(start)
        start -= 1
        bottom = grid.take(start)
        bottom += (right - bottom) * x
        return np.asarray(top + (bottom - top) * y)


class Frame:
    """The coordinates of every pixel of one picture of one posed head.

    Attributes:
        size: side of the picture in pixels.
        pixel: side of a pixel in head units.
        x, y: head units, (size, size).
        face_x, face_y: face coordinates, (size, size).
        depth: towards the viewer, in head units; 0 on the silhouette and outside.
        across: position across the silhouette, -1 to 1 on the head.
        head: implicit silhouette of the head, negative inside.
        yaw_sine: sine of the yaw angle; positive when the face looks to the right of the picture.
    """

    def __init__(self, parameters: FaceParameters, size: int) -> None:
        pose, shape = parameters.pose, parameters.shape
        self.size = size
        self.pixel = 1.0 / (size * pose.scale)
        yaw, pitch = math.radians(pose.yaw), math.radians(pose.pitch)
        roll = math.radians(pose.roll)
        self.yaw_sine, self.yaw_cosine = math.sin(yaw), math.cos(yaw)
        self.roll_sine, self.roll_cosine = math.sin(roll), math.cos(roll)
        depth_half = shape.width
        self._centre = (pose.x - 0.62 * depth_half * self.yaw_sine * pose.scale, pose.y)
        steps = (np.arange(size, dtype=np.float32) + 0.5) / size
        right = (steps[None, :] - self._centre[0]) / pose.scale
        down = (steps[:, None] - self._centre[1]) / pose.scale
        self.x = np.asarray(right * self.roll_cosine + down * self.roll_sine)
        self.y = np.asarray(down * self.roll_cosine - right * self.roll_sine)

        upper = np.clip((WIDEST - self.y) / (WIDEST - CROWN), 0.0, None)
        lower = np.clip((self.y - WIDEST) / (shape.chin - WIDEST), 0.0, None)
        # The chin stands before the head's axis, so it follows the face when the head turns.
        forward = self.yaw_sine * 0.2 * np.minimum(np.clip(self.y / shape.chin, 0.0, None), 1.1) ** 2.4
        section = 1.0 - upper**2.7 - lower**shape.jaw
        cheek = 1.0 + shape.cheek * np.exp(-np.square((self.y - 0.2) * 9.0))
        silhouette = math.hypot(shape.width * self.yaw_cosine, depth_half * self.yaw_sine)
        half_width = np.asarray(silhouette * cheek * np.sqrt(np.clip(section, 0.0, 1.0)))
        offset = self.x - forward
        self.head = np.asarray(np.square(offset / (silhouette * cheek)) - section, dtype=np.float32)
        on_head = np.clip(offset, -half_width, half_width)
        bulge = np.sqrt(np.clip(half_width * half_width - on_head * on_head, 0.0, None))
        turn = math.atan2(depth_half * self.yaw_sine, shape.width * self.yaw_cosine)
        narrowing = shape.width / silhouette
        face_x = narrowing * (on_head * math.cos(turn) - bulge * math.sin(turn))
        front = (depth_half / silhouette) * (bulge * math.cos(turn) + on_head * math.sin(turn))
        # Behind the ears the section narrows again; going on outwards keeps the coordinate one-to-one.
        behind = np.copysign(2.0 * narrowing * half_width, face_x) - face_x
        face_x_all = np.where(front < 0.0, behind, face_x) + (offset - on_head)
        self.face_x = np.asarray(face_x_all, dtype=np.float32)
        self.depth = np.asarray(front * self.yaw_cosine - face_x * self.yaw_sine, dtype=np.float32)
        self.depth *= bulge > 0.0
        self.face_y = np.asarray(self.y - math.sin(pitch) * 0.75 * self.depth, dtype=np.float32)
        self.across = np.asarray(np.clip(offset / np.maximum(half_width, 1e-3), -1.0, 1.0), dtype=np.float32)
        self.upper, self.lower = np.minimum(upper, 1.0), np.minimum(lower, 1.0)

    def window(self, at: tuple[float, float], radius: tuple[float, float], *, face: bool = True) -> Window | None:
        """Rows and columns that hold a box around ``at`` (face coordinates, else head units), or None when unseen."""
        x, y = (self.face_x, self.face_y) if face else (self.x, self.y)
        hit = (np.abs(x - at[0]) < radius[0]) & (np.abs(y - at[1]) < radius[1])
        rows, columns = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
        if rows.size == 0:
            return None
        return _span(rows, x.shape[0]), _span(columns, x.shape[1])

    def crop(self, window: Window) -> Frame:
        """The same frame seen through a window of its arrays (views, not copies)."""
        part = copy.copy(self)
        for name in ("x", "y", "face_x", "face_y", "depth", "across", "head", "upper", "lower"):
            setattr(part, name, getattr(self, name)[window])
        return part


def _span(hits: npt.NDArray[np.intp], size: int) -> slice:
    # Two pixels of margin: the slope of a field needs neighbours, and at least three samples.
    return slice(max(int(hits[0]) - 2, 0), min(int(hits[-1]) + 3, size))
