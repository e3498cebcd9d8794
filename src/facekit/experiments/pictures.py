"""The contact sheet of a comparison, and its curves over training. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from facekit.evaluation.store import BASELINE_PREFIX, KeptPicture
from facekit.experiments.results import System, Table
from facekit.figures.charts import COLOURS, Series
from facekit.figures.page import spoken
from facekit.figures.sheet import draw_sheet
from facekit.training.run.reading import RunRecord

SMALLEST_SIDE = 96
"""Smaller pictures are shown with larger pixels, so that they and their headings can be read."""
WIDEST_SHEET = 2400


def contact_sheet(
    systems: Sequence[System], *, task: str, faces: int
) -> tuple[Image.Image, list[tuple[str, str]]] | None:
    """Return the sheet and the (target, reference) keys of its rows; None where no system has pictures.

    Of a system that was trained with several seeds, the results of its first one that was measured are shown.

    Args:
        systems: the rows of the table, which are the columns of the sheet.
        faces: how many faces at most, spread over those that were kept.
    """
    shown: dict[str, dict[tuple[str, str], KeptPicture]] = {}
    for system in systems:
        evaluation = next((run.evaluation for run in system.measured), None)
        kept = () if evaluation is None else evaluation.pictures.get(task, ())
        if kept:
            shown[system.name] = {(picture.key, picture.reference_key): picture for picture in kept}
    if not shown:
        return None
    # A system that was measured on other faces has empty places.
    all_pairs = list(dict.fromkeys(pair for pictures in shown.values() for pair in pictures))
    chosen = np.unique(np.linspace(0, len(all_pairs) - 1, min(faces, len(all_pairs))).round().astype(int))
    pairs = [all_pairs[index] for index in chosen]
    parts = {
        (name, pair): pictures[pair].parts() for name, pictures in shown.items() for pair in pairs if pair in pictures
    }
    side = max(part["result"].shape[0] for part in parts.values())
    side *= math.ceil(SMALLEST_SIDE / side)

    def column(names: Iterable[str], part: str) -> list[np.ndarray | None]:
        """Return a part of each row, of the first of the systems whose pictures show it, in the side of the sheet."""
        found = [
            next((each for name in names if (each := parts.get((name, pair), {}).get(part)) is not None), None)
            for pair in pairs
        ]
        return [
            each
            if each is None or each.shape[0] == side
            else np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.NEAREST))
            for each in found
        ]

    columns = [(title, column(shown, title)) for title in ("mask", "reference")]
    columns += [(name, column([name], "result")) for name in shown]
    columns.append(("photo of the mask", column(shown, "photo")))
    columns = [(title, images) for title, images in columns if any(each is not None for each in images)]
    return draw_sheet(columns, rows=len(pairs), side=side), pairs


def charts(table: Table, records: Mapping[Path, RunRecord]) -> list[dict[str, Any]]:
    """Return charts with one curve a row: what was measured while training, then the losses."""
    trained = [system for system in table.systems if system.trained and system.measured]
    measured: dict[str, dict[str, Series]] = {}
    losses: dict[str, dict[str, Series]] = {}
    for system in trained:
        runs = [records[run.folder] for run in system.measured if run.folder in records]
        for name, curve in _mean_curves([_measured_while_training(run) for run in runs]).items():
            measured.setdefault(name, {})[system.name] = curve
        for name, curve in _mean_curves([run.series("losses") for run in runs]).items():
            losses.setdefault(name, {})[system.name] = curve
    note = "mean over the seeds"
    if len(trained) > COLOURS:
        note += f"; colours repeat after {COLOURS} rows"
    found: list[dict[str, Any]] = [
        {"title": spoken(name), "curves": curves, "note": f"on the validation split; {note}", "smooth": False}
        for name, curves in sorted(measured.items())
    ]
    for name, curves in sorted(losses.items(), reverse=True):
        player, _, label = name.partition("/")
        title = f"{player.capitalize()} · {label.replace('_', ' ') or 'loss'}"
        found.append({"title": title, "curves": curves, "note": note})
    return found


def _measured_while_training(record: RunRecord) -> dict[str, Series]:
    curves: dict[str, Series] = {}
    for event in record.of("evaluation"):
        if event.get("split") != "validation" or str(event.get("weights", "")).startswith(BASELINE_PREFIX):
            continue
        for entry in event.get("measurements") or ():
            value = entry.get("value")
            if isinstance(value, (int, float)) and entry.get("detail") is not True:
                curves.setdefault(str(entry["name"]), []).append((int(event.get("step") or 0), float(value)))
    return {name: points for name, points in curves.items() if len(points) > 1}


def _mean_curves(runs: Sequence[Mapping[str, Series]]) -> dict[str, Series]:
    """Return the mean of each curve over the runs, at the steps that all runs with the curve have."""
    found: dict[str, Series] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        curves = [dict(run[name]) for run in runs if name in run]
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        found[name] = [(step, fmean(curve[step] for curve in curves)) for step in steps]
    return {name: points for name, points in found.items() if points}
