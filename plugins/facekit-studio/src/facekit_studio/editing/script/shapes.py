"""Which pixels an operation sets: exact pixels, or a shape that fits any size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field, model_validator

from facekit.interfaces import Options
from facekit_studio.editing.script.masks import Ids, Pixels, pixels_of, resized
from facekit_studio.editing.script.strokes import Brush

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
