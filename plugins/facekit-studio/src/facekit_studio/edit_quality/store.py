"""What an evaluation of edits leaves: the numbers as JSON, and a sheet of pictures a script.

They lie in a folder of the user's choice, and once more in the run folder, with small sheets, for its report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facekit import __version__
from facekit.data.geometry import resize_photo
from facekit.figures.sheet import draw_sheet
from facekit.inference import FacePipeline, save_png
from facekit.training.run.folder import full_disk_stops, sealed, write_json
from facekit_studio.edit_quality.editors import UNEDITED
from facekit_studio.edit_quality.runner import RUN, EditSettings, ScriptResult
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.local import fills_holes
from facekit_studio.kept_edits import EDITS, FORMAT, edits_name

NUMBERS = "edits.json"
"""The file of the numbers."""

KEPT_ROWS, KEPT_SIDE = 3, 160
"""Photos of a sheet in the run folder, and pixels of their side."""


@dataclass(frozen=True, eq=False)
class EditRecord:
    """What was measured, and how: all that is written down beside the numbers.

    Args:
        editor: the run, or two of them.
        settings: how it was measured.
        component: the id of the dataset component.
        fingerprint: of the dataset.
        scripts: the names of the scripts that were asked for.
        date: when, in UTC.
    """

    editor: PhotoEditor
    settings: EditSettings
    component: str
    fingerprint: str
    scripts: Sequence[str]
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def name(self) -> str:
        """What the run folder calls it; the same when the same is measured again."""
        pipeline = self.editor.pipeline
        asked = {
            "settings": asdict(self.settings),
            "data": [self.component, self.fingerprint],
            "scripts": list(self.scripts),
            "made_of": self.editor.made_of,
        }
        return edits_name(asked, step=pipeline.step, split=self.settings.split, weights=pipeline.weights)

    def document(self, results: Sequence[ScriptResult]) -> dict[str, Any]:
        """Return it with the scripts that are done, as JSON data."""
        beside = self.editor.beside
        return {
            "format": FORMAT,
            "facekit": __version__,
            "date": self.date,
            "run": _run(self.editor.pipeline),
            "local": None if beside is None else _run(beside),
            "data": {"component": self.component, "fingerprint": self.fingerprint},
            "settings": asdict(self.settings),
            "scripts": [_script(entry) for entry in results],
        }


def write_results(folder: Path, results: Sequence[ScriptResult], record: EditRecord) -> Path:
    """Write what is measured so far, in place of what stood there. Returns the file.

    Raises:
        RunFailure: the disk is full.
    """
    return _write(folder / NUMBERS, record.document(results))


def keep_in_run(results: Sequence[ScriptResult], record: EditRecord) -> Path:
    """Write what is measured so far into the run folder, with a small sheet of the last script. Returns the file.

    Raises:
        RunFailure: the disk is full, or a sheet cannot be written.
    """
    folder = record.editor.pipeline.run / EDITS
    last = results[-1]
    if not last.skipped:
        sheet = draw_script(last, rows=KEPT_ROWS, side=KEPT_SIDE)
        save_png(sheet, folder / record.name / sheet_name(last), record.editor.record(script=last.edit.name))
    # The JSON comes last: where it stands, the sheets it names do.
    return _write(folder / f"{record.name}.json", record.document(results))


def write_sheet(folder: Path, result: ScriptResult, *, editor: PhotoEditor) -> Path:
    """Write the sheet of a script: photos before, after, by the baseline, and real ones. Returns the file.

    Raises:
        RunFailure: it cannot be written.
    """
    file = folder / sheet_name(result)
    save_png(draw_script(result), file, editor.record(script=result.edit.name))
    return file


def draw_script(result: ScriptResult, *, rows: int | None = None, side: int | None = None) -> Image.Image:
    """Return the sheet of a script.

    Args:
        result: what was measured.
        rows: photos at most; None for all that there are.
        side: pixels of their side; None for that at which they were measured.
    """
    edited = [
        system
        for system in result.systems
        if system.result.system != UNEDITED and system.shown and system.shown[0].touched is not None
    ]
    shown = edited[0].shown[:rows]
    columns: list[tuple[str, list[Any]]] = [("before", [each.face.image for each in shown])]
    columns += [
        (
            "after" if each.result.system == RUN else each.result.system.replace("_", " "),
            [s.image for s in each.shown[: len(shown)]],
        )
        for each in edited
    ]
    real = [face.image for face in result.real[: len(shown)]]
    columns.append(("real photos of that kind", [*real, *[None] * (len(shown) - len(real))]))
    own = shown[0].image.shape[0]
    if side is None or side == own:
        return draw_sheet(columns, rows=len(shown), side=own)
    small = [
        (name, [each if each is None else np.asarray(resize_photo(each, side)) for each in of]) for name, of in columns
    ]
    return draw_sheet(small, rows=len(shown), side=side)


def sheet_name(result: ScriptResult) -> str:
    """Return the name of a script's sheet."""
    return f"{result.edit.name}.png"


def _write(file: Path, document: dict[str, Any]) -> Path:
    with full_disk_stops(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, sealed(document))
    return file


def _run(pipeline: FacePipeline) -> dict[str, Any]:
    """Return what made the edits, and whether it fills holes or paints whole faces."""
    return {**pipeline.record(), "fills_holes": fills_holes(pipeline.inputs)}


def _script(entry: ScriptResult) -> dict[str, Any]:
    if entry.skipped:
        return {"script": entry.edit.name, "skipped": entry.skipped}
    return {
        "script": entry.edit.name,
        "sheet": sheet_name(entry),
        "notes": list(entry.notes),
        "learned": [each.document() for each in entry.learned],
        "edited": None if entry.edited_by is None else entry.edited_by.document(),
        "results": [
            {
                **system.result.document(),
                "absent": dict(system.figures.absent),
                "per_photo": {
                    key: {name: value for name, value in values.items() if math.isfinite(value)}
                    for key, values in system.figures.photos.items()
                },
            }
            for system in entry.systems
        ],
    }
