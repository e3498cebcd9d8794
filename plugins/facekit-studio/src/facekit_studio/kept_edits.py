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

from facekit.evaluation.store import a_value, readable_document, sound_document, stored_evaluation
from facekit.interfaces import FacekitError, FurtherResults
from facekit.training.run.folder import step_name

FORMAT = 2
"""Version of the files. Since 2 they say when, on which data and by which of two runs edits were made."""

EDITS, SECTION = "edits", "Edits"
"""The folder in a run folder, and the heading in its report."""

RUN = FurtherResults.RUN
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


def edits_name(asked: Mapping[str, Any], *, step: int, split: str, weights: str) -> str:
    """Return the name of what is kept of an evaluation of edits: by the weights, and a hash of all that was asked."""
    said = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    key = hashlib.sha256(said.encode()).hexdigest()[:_KEY_LENGTH]
    return f"{step_name(step)}-{split}-{weights}-{key}"


def further_results(run: Path) -> list[FurtherResults]:
    """Return what was measured last of each script on each split, the test split first; then the damaged files."""
    measured: list[tuple[str, FurtherResults]] = []
    damaged: list[FurtherResults] = []
    for file in sorted((run / EDITS).glob("step-*.json")):
        try:
            measured += _read(file)
        except FacekitError as error:
            damaged.append(FurtherResults(section=SECTION, name=file.name, file=file, damaged=error.message))
    found: dict[tuple[str, str], FurtherResults] = {}
    for _, each in sorted(measured, key=lambda entry: entry[0]):
        if not each.skipped or (each.split, each.name) not in found:
            found[each.split, each.name] = each
    return [*(found[place] for place in sorted(found, key=lambda place: (place[0] != "test", *place))), *damaged]


def _read(file: Path) -> list[tuple[str, FurtherResults]]:
    """Return what a file holds of each script, and when it was measured. Raises FacekitError where it is damaged."""
    with readable_document(file):
        document = sound_document(file)
        if document["format"] != FORMAT:
            raise FacekitError(f"these edits are of format {document['format']}, not {FORMAT}", where=str(file))
        date = a_value(str, document, "date")
        return [(date, _script(document, entry, file)) for entry in document["scripts"]]


def _script(document: Mapping[str, Any], entry: Mapping[str, Any], file: Path) -> FurtherResults:
    run, local, name = document["run"], document["local"], a_value(str, entry, "script")
    common: dict[str, Any] = {
        "section": SECTION,
        "name": name,
        "file": file,
        "split": a_value(str, document["settings"], "split"),
        "weights": a_value(str, run, "weights"),
        "step": a_value(int, run, "step"),
    }
    if "skipped" in entry:
        return FurtherResults(**common, skipped=a_value(str, entry, "skipped"))
    results = {}
    for result in entry["results"]:
        measurements = []
        for measurement in result["measurements"]:
            own = {str(key): values.get(measurement["name"]) for key, values in result["per_photo"].items()}
            own = {key: float(value) for key, value in own.items() if value is not None and math.isfinite(value)}
            measurements.append({**measurement, "per_sample": list(own.values()), "samples": list(own)})
        results[result["system"]] = {**result, "measurements": measurements, "pairs": {}, "pictures": {}}
        stored_evaluation(results[result["system"]], file)
    ours = results.pop(RUN)
    made = entry["edited"]
    by = EditedBy(
        a_value(str, run, "run"),
        "" if local is None else a_value(str, local, "run"),
        tuple(map(str, made[LOCALLY])),
        tuple(map(str, made[AS_A_WHOLE])),
    )
    data = a_value(str, document["data"], "component")
    sheet = file.with_suffix("") / f"{Path(name).name}.png"
    return FurtherResults(
        **common,
        results={RUN: ours, **results},
        about=str(by),
        notes=(
            f"Edited: {by}.",
            f"Measured {document['date']} on {data}, {common['weights']} weights.",
            *(f"{note[:1].upper()}{note[1:]}." for note in map(str, entry["notes"])),
        ),
        picture=sheet if sheet.is_file() else None,
        caption="The first photos, made small: before, after, the baseline, and real photos of that kind.",
    )


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
