"""What an evaluation of edits leaves in its folder: the numbers as JSON, and a sheet of pictures a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facekit import __version__
from facekit.edit_quality.runner import RUN, EditSettings, ScriptResult
from facekit.editing import FacePipeline, save_png
from facekit.engine.run_folder import full_disk_stops, write_json
from facekit.figures.sheet import draw_sheet

FORMAT = 1
NUMBERS = "edits.json"
"""The file of the numbers."""


def write_results(
    folder: Path,
    results: Sequence[ScriptResult],
    *,
    pipeline: FacePipeline,
    local: FacePipeline | None,
    settings: EditSettings,
) -> Path:
    """Write what is measured so far, in place of what stood there. Returns the file.

    Args:
        folder: where.
        results: the scripts that are done.
        pipeline: the run.
        local: the run for local edits, where there is one.
        settings: how it was measured.

    Raises:
        RunFailure: the disk is full.
    """
    document = {
        "format": FORMAT,
        "facekit": __version__,
        "run": pipeline.record(),
        "local": None if local is None else local.record(),
        "settings": asdict(settings),
        "scripts": [_script(entry) for entry in results],
    }
    with full_disk_stops(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / NUMBERS, document)
    return folder / NUMBERS


def write_sheet(folder: Path, result: ScriptResult, *, pipeline: FacePipeline) -> Path:
    """Write the sheet of a script: photos before, after, by the baseline, and real ones. Returns the file.

    Raises:
        RunFailure: it cannot be written.
    """
    edited = [painter for painter in result.painters if painter.shown and painter.shown[0].touched is not None]
    rows = len(edited[0].shown)
    columns: list[tuple[str, list[Any]]] = [("before", [each.face.image for each in edited[0].shown])]
    columns += [
        (
            "after" if each.result.painter == RUN else each.result.painter.replace("_", " "),
            [s.image for s in each.shown],
        )
        for each in edited
    ]
    real = [face.image for face in result.real[:rows]]
    columns.append(("real photos of that kind", [*real, *[None] * (rows - len(real))]))
    sheet = draw_sheet(columns, rows=rows, side=edited[0].shown[0].image.shape[0])
    file = folder / sheet_name(result)
    save_png(sheet, file, pipeline.record(script=result.edit.name))
    return file


def sheet_name(result: ScriptResult) -> str:
    """Return the name of a script's sheet."""
    return f"{result.edit.name}.png"


def _script(entry: ScriptResult) -> dict[str, Any]:
    if entry.skipped:
        return {"script": entry.edit.name, "skipped": entry.skipped}
    return {
        "script": entry.edit.name,
        "sheet": sheet_name(entry),
        "notes": list(entry.notes),
        "results": [
            {
                **painter.result.document(),
                "absent": dict(painter.figures.absent),
                "per_photo": {
                    key: {name: value for name, value in values.items() if math.isfinite(value)}
                    for key, values in painter.figures.photos.items()
                },
            }
            for painter in entry.painters
        ],
    }
