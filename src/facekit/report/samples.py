"""The sample grids of a run: the newest large, all of them behind a slider."""

from __future__ import annotations

from pathlib import Path

from facekit.figures.html import text
from facekit.figures.page import data_uri
from facekit.interfaces import FacekitError
from facekit.training.run.commands import INPUTS
from facekit.training.run.reading import RunRecord

NOISE = "noise"
"""The only input of a run that makes images from noise alone."""

_WORDS = {"mask": "mask", "reference": "reference", "source": "photo that is changed"}
"""What a result is made from, for people."""

MOST_FRAMES = 24
WIDEST = 1200
"""Grids wider than this many pixels are shrunk; the files in ``samples/`` keep their size."""


MOST_PIXELS = 178_000_000
"""Pixels of the largest grid: the run wrote it, and Pillow refuses more."""


def samples_html(record: RunRecord) -> str:
    """Return the grids as pictures inside the page; an empty string where there are none.

    A picture that cannot be read is left out and added to ``record.problems``.
    """
    frames = []
    for step, path in _choose(record.samples):
        try:
            frames.append((step, _data_uri(path)))
        except FacekitError as error:
            record.problems.append(f"samples/{path.name} cannot be read: {error.message}")
        except ValueError as error:  # of a side that the page's format has no room for
            record.problems.append(f"samples/{path.name} cannot be shown: {error}")
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
    left_out = f" {MOST_FRAMES} of {total} grids are shown." if total > MOST_FRAMES else ""
    return text(f"{_rows(record)} The heading of each column says what it shows.{left_out} The files are in samples/.")


def _rows(record: RunRecord) -> str:
    """Return what the rows of a grid are, by what the run's lock says that the model reads."""
    reads = record.lock.get(INPUTS)
    if reads == [NOISE]:
        return "Each row starts from the same noise each time, and shows results of other noise beside it."
    row = "Each row belongs to one face of the validation split, the same faces each time"
    given = [name for name in _WORDS if isinstance(reads, list) and name in reads]
    if not given:
        return f"{row}."
    words = [_WORDS[name] for name in given]
    read = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    further = ""
    if "reference" in given:
        further = ", then in the look of another face"
    elif {"attribute", "attributes"} & set(reads or ()):
        further = ", then with each attribute turned to its opposite"
    return f"{row}. The result is made from the {read}{further}."


def _choose(samples: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """Return at most ``MOST_FRAMES`` samples, evenly spread, the first and the last among them."""
    if len(samples) <= MOST_FRAMES:
        return samples
    last = len(samples) - 1
    return [samples[round(index * last / (MOST_FRAMES - 1))] for index in range(MOST_FRAMES)]


def _data_uri(path: Path) -> str:
    from facekit.interfaces.image_files import read_image

    return data_uri(read_image(path, formats=("PNG",), most_pixels=MOST_PIXELS), widest=WIDEST)
