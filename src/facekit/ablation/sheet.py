"""The contact sheet: one row a test face, one column a system, with mask, reference and real photo. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from facekit.ablation.results import System
from facekit.evaluation.store import KeptPicture
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
    common = [next(parts[name, pair] for name, _ in shown if (name, pair) in parts) for pair in pairs]
    side = max(part["result"].shape[0] for part in parts.values())
    side *= math.ceil(SMALLEST_SIDE / side)
    columns = [(title, [_sized(each[title], side) for each in common]) for title in ("mask", "reference")]
    columns += [
        (name, [_sized(parts[name, pair]["result"], side) if (name, pair) in parts else None for pair in pairs])
        for name, _ in shown
    ]
    columns.append(("photo of the mask", [_sized(each["photo"], side) for each in common]))
    return draw_sheet(columns, rows=len(pairs), side=side), pairs


def _sized(picture: np.ndarray, side: int) -> np.ndarray | None:
    if picture.shape[0] == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST))
