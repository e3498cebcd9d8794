"""Edit quality as a run folder keeps it: what ``facekit evaluate-edits`` found, for reports and tables. Torch-free.

::

    RUN/edits/
      step-00000500-test-ema-1f0c9a3e.json
      step-00000500-test-ema-1f0c9a3e/open_mouth.png    a small sheet: before, after, pasted, real
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facekit.evaluation.store import StoredEvaluation, a_value, readable_document, sound_document, stored_evaluation
from facekit.interfaces import FacekitError
from facekit.training.run.folder import EDITS, step_name

FORMAT = 2
"""Version of the files. Since 2 they say when, on which data and by which of two runs edits were made."""

RUN = "run"
"""What the run is called beside its baselines."""

LOCALLY, AS_A_WHOLE = "locally", "as_a_whole"
"""How an edit was made: a hole was filled by a run for it, or the whole face was generated."""

_KEY_LENGTH = 8


@dataclass(frozen=True)
class EditedBy:
    """Which run made the edits of a script.

    Args:
        local: the name of the run for edits of a part beside it; empty where there is none.
    """

    run: str
    local: str
    locally: tuple[str, ...]
    as_a_whole: tuple[str, ...]

    def __str__(self) -> str:
        filled, generated = len(self.locally), len(self.as_a_whole)
        said = [f"{filled} filled in as a part by {self.local or self.run}"] if filled else []
        said += [f"{generated} generated as a whole face by {self.run}"] if generated else []
        return f"{_photos(filled + generated)}: {', '.join(said)}"

    def document(self) -> dict[str, list[str]]:
        """Return it as JSON data."""
        return {LOCALLY: list(self.locally), AS_A_WHOLE: list(self.as_a_whole)}


@dataclass(frozen=True)
class StoredScript:
    """What was measured of a script.

    Args:
        skipped: why nothing was measured; empty where something was.
        edited_by: which run made the edits; None where nothing was measured.
        results: the run's, the baselines' and the real photos', by system. Values of single photos follow the order
            of :attr:`photos`.
        photos: the names of the photos that a number rests on, by system and measurement.
        sheet: a small sheet of pictures; None where none is kept.
    """

    name: str
    skipped: str
    notes: tuple[str, ...]
    edited_by: EditedBy | None
    results: Mapping[str, StoredEvaluation]
    photos: Mapping[tuple[str, str], tuple[str, ...]]
    sheet: Path | None


@dataclass(frozen=True)
class StoredEdits:
    """Edit quality as it was written down.

    Args:
        date: when, in UTC.
    """

    file: Path
    date: str
    split: str
    weights: str
    step: int
    data: str
    scripts: Mapping[str, StoredScript]


def edits_name(asked: Mapping[str, Any], *, step: int, split: str, weights: str) -> str:
    """Return the name of what is kept of an evaluation of edits: by the weights, and a hash of all that was asked."""
    said = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    key = hashlib.sha256(said.encode()).hexdigest()[:_KEY_LENGTH]
    return f"{step_name(step)}-{split}-{weights}-{key}"


def edit_files(run: Path) -> list[Path]:
    """Return the files of edit quality that a run folder keeps."""
    return sorted((run / EDITS).glob("step-*.json"))


def read_edits(file: Path) -> StoredEdits:
    """Read what ``facekit evaluate-edits`` wrote.

    Raises:
        FacekitError: there is no such file, or it cannot be read.
    """
    with readable_document(file):
        document = sound_document(file)
        if document["format"] != FORMAT:
            raise FacekitError(f"these edits are of format {document['format']}, not {FORMAT}", where=str(file))
        run, local = document["run"], document["local"]
        names = (a_value(str, run, "run"), "" if local is None else a_value(str, local, "run"))
        return StoredEdits(
            file=file,
            date=a_value(str, document, "date"),
            split=a_value(str, document["settings"], "split"),
            weights=a_value(str, run, "weights"),
            step=a_value(int, run, "step"),
            data=a_value(str, document["data"], "component"),
            scripts={entry["script"]: _script(entry, names, file) for entry in document["scripts"]},
        )


def newest_scripts(run: Path, problems: list[str]) -> dict[tuple[str, str], tuple[StoredEdits, StoredScript]]:
    """Return what was measured last of each script on each split, by split and script.

    A file that cannot be read is passed over, and told in ``problems``.
    """
    kept = []
    for file in edit_files(run):
        try:
            kept.append(read_edits(file))
        except FacekitError as error:
            problems.append(f"{EDITS}/{file.name}: {error.message}")
    found: dict[tuple[str, str], tuple[StoredEdits, StoredScript]] = {}
    for edits in sorted(kept, key=lambda each: each.date):
        for name, script in edits.scripts.items():
            if not script.skipped or (edits.split, name) not in found:
                found[edits.split, name] = (edits, script)
    return found


def _script(entry: Mapping[str, Any], names: tuple[str, str], file: Path) -> StoredScript:
    name = a_value(str, entry, "script")
    if "skipped" in entry:
        return StoredScript(name, a_value(str, entry, "skipped"), (), None, {}, {}, None)
    results: dict[str, StoredEvaluation] = {}
    photos: dict[tuple[str, str], tuple[str, ...]] = {}
    for result in entry["results"]:
        measurements = []
        for measurement in result["measurements"]:
            own = _values(measurement["name"], result["per_photo"])
            photos[result["system"], measurement["name"]] = tuple(own)
            measurements.append({**measurement, "per_sample": list(own.values())})
        document = {**result, "measurements": measurements, "pairs": {}, "pictures": {}}
        results[result["system"]] = stored_evaluation(document, file)
    if RUN not in results:
        raise KeyError(RUN)
    made = entry["edited"]
    edited_by = EditedBy(*names, tuple(map(str, made[LOCALLY])), tuple(map(str, made[AS_A_WHOLE])))
    sheet = file.with_suffix("") / f"{Path(name).name}.png"
    kept = sheet if sheet.is_file() else None
    return StoredScript(name, "", tuple(map(str, entry["notes"])), edited_by, results, photos, kept)


def _values(name: str, per_photo: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    found = {str(key): own[name] for key, own in per_photo.items() if name in own}
    return {key: float(value) for key, value in found.items() if value is not None and math.isfinite(value)}


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
