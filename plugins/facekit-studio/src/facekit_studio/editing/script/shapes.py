"""Which pixels an operation sets: exact pixels, or a shape that fits any size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import Field, model_validator

from facekit.interfaces import Options
from facekit_studio.editing.script.masks import Ids, Pixels, pixels_of, resized

Floats = NDArray[np.float64]

_ROWS_AT_A_TIME = 1 << 17
"""Rows of segments that are worked out together: some tens of milliseconds."""


class Brush:
    """A line through some places, drawn with a round brush on a mask.

    Args:
        places: (n, 2): x and y in pixels, n at least 1; (0, 0) is the middle of the first pixel.
        radius: of the brush, in pixels.
        height: rows of the mask.
        width: its columns.
    """

    def __init__(self, places: Floats, radius: float, height: int, width: int) -> None:
        ends = places[1:] if len(places) > 1 else places
        self._segments = np.concatenate([places[: len(ends)], ends], axis=1)  # x, y, next x, next y
        self._radius, self._height, self._width = radius, height, width
        lowest, highest = self._segments[:, 1::2].min(axis=1), self._segments[:, 1::2].max(axis=1)
        # A row more on either side: which pixels are inside is decided exactly, and not by these bounds.
        self._first = np.clip(np.floor(lowest - radius), 0, height).astype(np.int64)
        self._counts = np.clip(np.ceil(highest + radius) + 1, 0, height).astype(np.int64) - self._first

    @property
    def rows(self) -> int:
        """The rows of all segments together: what drawing them costs."""
        return int(self._counts.sum())

    def pixels(self, go_on: Callable[[], None]) -> Pixels:
        """Return the pixels (H, W) whose middle is at most the radius away from the line.

        Args:
            go_on: called now and then; what it raises ends the drawing.
        """
        # Each row of a segment is a run of pixels: +1 where it begins, -1 where it ends.
        edges = np.zeros((self._height, self._width + 1), dtype=np.int32)
        for segment, row in self._parts():
            go_on()
            begin, end = self._runs(self._segments[segment], row.astype(np.float64))
            met = begin <= end
            np.add.at(edges, (row[met], begin[met]), 1)
            np.add.at(edges, (row[met], end[met] + 1), -1)
        covered: Pixels = edges[:, :-1].cumsum(axis=1) > 0
        return covered

    def _parts(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield which segment and which row of the mask, for some segments at a time."""
        start, sums = 0, np.cumsum(self._counts)
        while start < len(sums):
            before = int(sums[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(sums, before + _ROWS_AT_A_TIME, side="right")))
            counts = self._counts[start:stop]
            segment = np.repeat(np.arange(start, stop), counts)
            within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
            yield segment, self._first[segment] + within
            start = stop

    def _runs(self, segments: Floats, row: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the last column inside, in the rows given; the last is before the first where none is.

        A segment's outline is convex, so that what is inside of a row is one run. Its ends are worked out, and the
        pixels next to them tried, since rounding decides where an end lies on a pixel's middle.
        """
        x, y, next_x, next_y = segments.T
        left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
        for centre_x, centre_y in ((x, y), (next_x, next_y)):
            room = self._radius**2 - (row - centre_y) ** 2
            half = np.where(room >= -1e-6 * (1 + self._radius**2), np.sqrt(np.maximum(room, 0)), -np.inf)
            left, right = np.minimum(left, centre_x - half), np.maximum(right, centre_x + half)
        low, high = self._between(segments, row)
        between = low <= high + 1e-6
        left, right = np.where(between, np.minimum(left, low), left), np.where(between, np.maximum(right, high), right)
        met = left <= right + 1e-6
        begin = np.where(met, np.clip(np.ceil(left), -2, self._width + 2), 0).astype(np.int64)
        end = np.where(met, np.clip(np.floor(right), -2, self._width + 2), 0).astype(np.int64)
        first, last = np.full(len(row), self._width, np.int64), np.full(len(row), -1, np.int64)
        for step in (1, 0, -1):  # the farthest out comes last, and counts
            for wanted, found in ((begin + step, first), (end - step, last)):
                column = np.clip(wanted, 0, self._width - 1)
                inside = met & self._inside(segments, row, column.astype(np.float64))
                found[inside] = column[inside]
        return first, last

    def _between(self, segments: Floats, row: Floats) -> tuple[Floats, Floats]:
        """Return where a row lies beside the segment and not beyond its ends, within the radius: from, to."""
        x, y, next_x, next_y = segments.T
        along_x, along_y = next_x - x, next_y - y
        length = along_x**2 + along_y**2
        reach, down = self._radius * np.sqrt(length), row - y
        low, high = np.where(length > 0, -np.inf, np.inf), np.where(length > 0, np.inf, -np.inf)
        # factor * (column - x) is to lie between two numbers: beside the line, and between its ends.
        for factor, least, most in (
            (along_y, down * along_x - reach, down * along_x + reach),
            (along_x, -down * along_y, length - down * along_y),
        ):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                one, other = least / factor, most / factor
            flat = factor == 0
            everywhere = flat & (least <= 0) & (most >= 0)
            nowhere = flat & ~everywhere
            low = np.where(everywhere, low, np.where(nowhere, np.inf, np.maximum(low, np.minimum(one, other))))
            high = np.where(everywhere, high, np.where(nowhere, -np.inf, np.minimum(high, np.maximum(one, other))))
        return x + low, x + high

    def _inside(self, segments: Floats, row: Floats, column: Floats) -> NDArray[np.bool_]:
        x, y, next_x, next_y = segments.T
        along_x, along_y = next_x - x, next_y - y
        length = along_x**2 + along_y**2
        share = ((column - x) * along_x + (row - y) * along_y) / np.where(length == 0, 1, length)
        share = np.clip(np.where(length == 0, 0, share), 0, 1)
        inside: NDArray[np.bool_] = np.hypot(column - x - share * along_x, row - y - share * along_y) <= self._radius
        return inside


LARGEST_SIDE = 4096
"""Pixels; a mask larger than this is a mistake or an attack."""

Fraction = Annotated[float, Field(ge=-1, le=2)]
Point = tuple[Fraction, Fraction]
"""x and y in fractions of the picture's side; a shape may reach beyond the picture."""

_RUN = re.compile(r"(\d{1,9})\+(\d{1,9})")


class Runs(Options):
    """Exact pixels, as a brush left them."""

    size: tuple[Annotated[int, Field(ge=1, le=LARGEST_SIDE)], Annotated[int, Field(ge=1, le=LARGEST_SIDE)]]
    """Height and width of the mask they were painted on. On a mask of another size they are scaled."""
    runs: str
    """``start+length`` for each run, row by row from the top left, separated by blanks."""

    @model_validator(mode="after")
    def _check(self) -> Runs:
        end = 0
        for text in self.runs.split():
            match = _RUN.fullmatch(text)
            if match is None:
                raise ValueError(f"{text[:40]!r} is no run; write start+length, as in 130+5")
            start, length = int(match[1]), int(match[2])
            if length < 1 or start < end:
                raise ValueError(f"the run {text} is empty, or begins before the one in front of it ends")
            end = start + length
        if end > self.size[0] * self.size[1]:
            raise ValueError(f"the runs go to pixel {end}; a mask of {self.size[0]}x{self.size[1]} ends before")
        return self

    def pixels(self, height: int, width: int) -> Pixels:
        """Return the pixels on a mask of this size."""
        flat = np.zeros(self.size[0] * self.size[1], dtype=np.uint8)
        for text in self.runs.split():
            start, length = text.split("+")
            flat[int(start) : int(start) + int(length)] = 1
        return resized(flat.reshape(self.size), height, width).astype(bool)

    @classmethod
    def of(cls, pixels: Pixels) -> Runs:
        """Return the runs of pixels."""
        flat = np.concatenate(([False], pixels.ravel(), [False]))
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        height, width = pixels.shape
        return cls(size=(height, width), runs=" ".join(f"{start}+{end - start}" for start, end in pairs))


class Stroke(Options):
    """A line drawn with a round brush."""

    points: Annotated[tuple[Point, ...], Field(min_length=1, max_length=10_000)]
    """Where the brush went; one point makes a dot."""
    width: Annotated[float, Field(gt=0, le=1)]
    """Of the brush, as a fraction of the picture's side."""

    def brush(self, height: int, width: int) -> Brush:
        """Return the line as it is drawn on a mask of this size."""
        places = np.array([(x * width - 0.5, y * height - 0.5) for x, y in self.points], dtype=np.float64)
        return Brush(places, self.width * max(height, width) / 2, height, width)

    def pixels(self, height: int, width: int, go_on: Callable[[], None] = lambda: None) -> Pixels:
        """Return the pixels on a mask of this size; ``go_on`` is called now and then, and what it raises ends it."""
        return self.brush(height, width).pixels(go_on)


class Ellipse(Options):
    """An ellipse."""

    centre: Point
    """Its middle."""
    radii: tuple[Annotated[float, Field(gt=0, le=2)], Annotated[float, Field(gt=0, le=2)]]
    """Half its width and half its height."""
    degrees: Annotated[float, Field(ge=-360, le=360)] = 0.0
    """How far it is turned, clockwise as seen."""

    def pixels(self, height: int, width: int) -> Pixels:
        """Return the pixels on a mask of this size."""
        rows, columns = np.indices((height, width), dtype=np.float64)
        x, y = (columns + 0.5) / width - self.centre[0], (rows + 0.5) / height - self.centre[1]
        angle = math.radians(self.degrees)
        across = (math.cos(angle) * x + math.sin(angle) * y) / self.radii[0]
        down = (-math.sin(angle) * x + math.cos(angle) * y) / self.radii[1]
        return across**2 + down**2 <= 1


class Polygon(Options):
    """The inside of a closed line."""

    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=10_000)]
    """Its corners, in order."""

    def pixels(self, height: int, width: int) -> Pixels:
        """Return the pixels on a mask of this size."""
        picture = Image.new("1", (width, height))
        corners = [(x * width - 0.5, y * height - 0.5) for x, y in self.points]
        ImageDraw.Draw(picture).polygon(corners, fill=1, outline=1)
        return np.asarray(picture, dtype=bool)


class Flood(Options):
    """All pixels of one class that hang together, as a fill tool finds them."""

    at: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    """A point of the area."""

    def area(self, mask: Ids) -> Pixels:
        """Return the area of a mask; neighbours share an edge."""
        from scipy import ndimage

        height, width = mask.shape
        row, column = int(self.at[1] * height), int(self.at[0] * width)
        labels, _ = ndimage.label(pixels_of(mask, [int(mask[row, column])]))
        return labels == labels[row, column]


class Shape(Options):
    """Exactly one shape."""

    runs: Runs | None = None
    """Exact pixels."""
    stroke: Stroke | None = None
    """A line drawn with a round brush."""
    ellipse: Ellipse | None = None
    """An ellipse."""
    polygon: Polygon | None = None
    """The inside of a closed line."""
    flood: Flood | None = None
    """The area of one class around a point."""

    @model_validator(mode="after")
    def _one(self) -> Shape:
        given = [name for name in SHAPES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(SHAPES)}" + (f", not {' and '.join(given)}" * bool(given))
            )
        return self

    def pixels_on(self, mask: Ids, go_on: Callable[[], None] = lambda: None) -> Pixels:
        """Return which pixels of a mask are meant; ``go_on`` is called now and then, and what it raises ends it."""
        if self.flood is not None:
            return self.flood.area(mask)
        if self.stroke is not None:
            height, width = mask.shape
            return self.stroke.pixels(height, width, go_on)
        shape = self.runs or self.ellipse or self.polygon
        assert shape is not None  # checked when it was made
        return shape.pixels(*mask.shape)


SHAPES = ("runs", "stroke", "ellipse", "polygon", "flood")
