"""The contact sheet: one row a test face, one column a system, beside what the systems read. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from facekit.evaluation.store import KeptPicture
from facekit.experiments.results import System
from facekit.figures.sheet import draw_sheet

SMALLEST_SIDE = 96
"""Smaller pictures are shown with larger pixels, so that they and their headings can be read."""


def contact_sheet(
    systems: Sequence[System], *, task: str, faces: int
) -> tuple[Image.Image, list[tuple[str, str]]] | None:
    """Return the sheet and the (target, reference) keys of its rows; None where no system has pictures.

    Of a system that was trained with several seeds, the results of its first one that was measured are shown.

    Args:
        systems: the rows of the table, which are the columns of the sheet.
        task: whose results are shown.
        faces: how many faces at most, spread over those that were kept.
    """
    shown: list[tuple[str, dict[tuple[str, str], KeptPicture]]] = []
    for system in systems:
        evaluation = next((run.evaluation for run in system.measured if run.evaluation is not None), None)
        kept = () if evaluation is None else evaluation.pictures.get(task, ())
        if kept:
            shown.append((system.name, {(picture.key, picture.reference_key): picture for picture in kept}))
    if not shown:
        return None
    # A system that was measured on other faces has empty places.
    all_pairs = list(dict.fromkeys(pair for _, pictures in shown for pair in pictures))
    chosen = np.unique(np.linspace(0, len(all_pairs) - 1, min(faces, len(all_pairs))).round().astype(int))
    pairs = [all_pairs[index] for index in chosen]
    parts = {(name, pair): pictures[pair].parts() for name, pictures in shown for pair in pairs if pair in pictures}

    def common(part: str) -> list[np.ndarray | None]:
        """Return a part of each row, of the first system whose pictures show it."""
        found = [[parts[name, pair].get(part) for name, _ in shown if (name, pair) in parts] for pair in pairs]
        return [next((each for each in row if each is not None), None) for row in found]

    side = max(part["result"].shape[0] for part in parts.values())
    side *= math.ceil(SMALLEST_SIDE / side)
    columns = [(title, common(title)) for title in ("mask", "reference")]
    columns += [
        (name, [parts[name, pair]["result"] if (name, pair) in parts else None for pair in pairs]) for name, _ in shown
    ]
    columns.append(("photo of the mask", common("photo")))
    columns = [
        (title, [None if each is None else _sized(each, side) for each in pictures])
        for title, pictures in columns
        if any(each is not None for each in pictures)
    ]
    return draw_sheet(columns, rows=len(pairs), side=side), pairs


def _sized(picture: np.ndarray, side: int) -> np.ndarray:
    if picture.shape[0] == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST))
