"""Sheets of images: a grid of equal squares under headings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAP = 4
"""Pixels between images."""

MOST_LINES = 3
"""Lines that a heading is broken into at most."""

_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def draw_sheet(
    columns: Sequence[tuple[str, Iterable[NDArray[np.uint8] | None]]], *, rows: int, side: int
) -> Image.Image:
    """Return a sheet: one column of images under each heading.

    Args:
        columns: heading and images (side, side, 3) uint8 of each column, ``rows`` of them; None leaves a place empty.
        rows: how many images a column has.
        side: their side in pixels.
    """
    font, headings = _fitted([title for title, _ in columns], side)
    line = int(font.getbbox("Ag")[3]) + 1
    top = max(len(lines) for lines in headings) * line + 2 * GAP
    pitch = side + GAP
    sheet = Image.new("RGB", (len(columns) * pitch + GAP, top + rows * pitch), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, (lines, (_, pictures)) in enumerate(zip(headings, columns, strict=True)):
        left = GAP + column * pitch
        for number, words in enumerate(lines):
            # Short headings stand at the bottom, next to their images.
            height = top - GAP - (len(lines) - number) * line
            pen.text((left + max(0, (side - font.getlength(words)) / 2), height), words, fill=_INK, font=font)
        for row, picture in enumerate(pictures):
            if picture is not None:
                sheet.paste(Image.fromarray(picture), (left, top + row * pitch))
    return sheet


def _fitted(titles: Sequence[str], side: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, list[list[str]]]:
    """Return the largest font in which all headings fit, and their lines."""
    for size in range(14, 5, -1):
        font = ImageFont.load_default(size=size)
        headings = [_lines(title, font, side) for title in titles]
        if all(len(lines) <= MOST_LINES and max(map(font.getlength, lines)) <= side for lines in headings):
            break
    return font, headings


def _lines(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, side: int) -> list[str]:
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > side:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
