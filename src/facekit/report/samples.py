"""The sample grids of a run: the newest large, all of them behind a slider."""

from __future__ import annotations

from pathlib import Path

from facekit.engine.run_reading import RunRecord
from facekit.figures.html import text
from facekit.figures.page import data_uri

MOST_FRAMES = 24
WIDEST = 1200
"""Grids wider than this many pixels are shrunk; the files in ``samples/`` keep their size."""


def samples_html(record: RunRecord) -> str:
    """Return the grids as pictures inside the page; an empty string where there are none.

    A picture that cannot be read is left out and added to ``record.problems``.
    """
    frames = []
    for step, path in _choose(record.samples):
        try:
            frames.append((step, _data_uri(path)))
        except (OSError, SyntaxError, ValueError) as error:  # Pillow raises SyntaxError for broken PNG chunks
            record.problems.append(f"samples/{path.name} cannot be read: {error}")
    if not frames:
        return ""
    pictures = "".join(
        f'<img src="{uri}" alt="sample grid at step {step}" data-step="{step}"{"" if last else " hidden"}>'
        for step, uri, last in ((step, uri, index == len(frames) - 1) for index, (step, uri) in enumerate(frames))
    )
    if len(frames) == 1:
        return f"<figure>{pictures}<figcaption>{_caption(record)}</figcaption></figure>"
    control = (
        '<div class="slider"><label for="step-slider">Over time</label>'
        f'<input id="step-slider" type="range" min="0" max="{len(frames) - 1}" value="{len(frames) - 1}">'
        f"<output>step {frames[-1][0]:,}</output></div>"
    )
    return (
        f'<div class="timeline">{control}<figure>{pictures}<figcaption>{_caption(record)}</figcaption></figure></div>'
    )


def _caption(record: RunRecord) -> str:
    total = len(record.samples)
    left_out = f" {MOST_FRAMES} of {total} grids are shown;" if total > MOST_FRAMES else ""
    return text(
        "The same faces of the validation split each time: the mask, the reference whose look is wanted, the result, "
        "and the photo the mask belongs to; for models that read a reference, then another face's photo and the mask "
        "in its look. For models that change attributes: the photo, the result with its own attributes, and with each "
        f"attribute turned to its opposite.{left_out} The files are in samples/."
    )


def _choose(samples: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """Return at most ``MOST_FRAMES`` samples, evenly spread, the first and the last among them."""
    if len(samples) <= MOST_FRAMES:
        return samples
    last = len(samples) - 1
    return [samples[round(index * last / (MOST_FRAMES - 1))] for index in range(MOST_FRAMES)]


def _data_uri(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as opened:
        return data_uri(opened, widest=WIDEST)
