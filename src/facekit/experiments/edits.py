"""Edit quality in a comparison: a table a script, of what the run folders keep. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from facekit.evaluation.edits import RUN, StoredScript, edit_files, newest_scripts
from facekit.evaluation.store import StoredEvaluation
from facekit.experiments.results import Done, System, Table, make_table
from facekit.interfaces import FacekitError
from facekit.training.run.reading import RunRecord

_Kept = Mapping[tuple[str, str], StoredScript]
"""What a run keeps of its measured weights, by split and script."""


def kept_files(systems: Sequence[System]) -> list[Path]:
    """Return the files of edit quality that the run folders of a table keep."""
    return [file for system in systems if system.trained for run in system.measured for file in edit_files(run.folder)]


def edit_tables(
    systems: Sequence[System], *, reference: str, records: Mapping[Path, RunRecord] | None = None
) -> tuple[Table, ...]:
    """Return a table of each script whose edits some run was measured by: one row a system, baselines after them.

    Edits count where they were made with the weights, of the step and on the split, of the run's own evaluation.

    Args:
        records: run folders that were read before.

    Raises:
        FacekitError: a file of a run folder cannot be read.
    """
    kept = {run.folder: _kept(run) for system in systems if system.trained for run in system.measured}
    places = dict.fromkeys(place for of_run in kept.values() for place in of_run)
    return tuple(_table(place, systems, kept, reference=reference, records=records) for place in places)


def _kept(run: Done) -> _Kept:
    assert run.evaluation is not None
    problems: list[str] = []
    found = newest_scripts(run.folder, problems)
    if problems:
        raise FacekitError(problems[0], where=str(run.folder), remedy="remove it and measure again")
    wanted = run.evaluation
    return {
        place: script
        for place, (edits, script) in found.items()
        if not script.skipped
        and (edits.split, edits.weights, edits.step) == (wanted.split, wanted.weights, wanted.step)
    }


def _table(
    place: tuple[str, str],
    systems: Sequence[System],
    kept: Mapping[Path, _Kept],
    *,
    reference: str,
    records: Mapping[Path, RunRecord] | None,
) -> Table:
    with_it = {folder: of_run[place] for folder, of_run in kept.items() if place in of_run}
    scripts = list(with_it.values())
    rows = []
    for system in systems:
        runs = [run for run in system.measured if run.folder in with_it]
        if not system.trained or not runs:
            continue
        own = [with_it[run.folder] for run in runs]
        done = tuple(
            replace(run, evaluation=_paired(script, RUN, scripts)) for run, script in zip(runs, own, strict=True)
        )
        rows.append(replace(system, runs=done, note="; ".join(dict.fromkeys(str(each.edited_by) for each in own))))
    # Baselines and real photos are the same for every run that was measured on the same photos.
    names: dict[tuple[str, str], Done] = {}
    for folder, script in with_it.items():
        for name in script.results:
            if name != RUN:
                evaluation = _paired(script, name, scripts)
                names.setdefault((name, evaluation.protocol), Done(None, folder, evaluation))
    counts = [name for name, _ in names]
    for (name, protocol), run in names.items():
        several = f" [{protocol}]" if counts.count(name) > 1 else ""
        rows.append(System(f"{name.replace('_', ' ')}{several}", (run,), trained=False))
    return make_table(rows, name=f"Edits: {place[1]}", reference=reference, records=records)


def _paired(script: StoredScript, shown: str, scripts: Sequence[StoredScript]) -> StoredEvaluation:
    """Return a result whose values of single photos stand only where all runs have values of the same photos.

    A part may show in one result and not in another; values of other photos must not be taken for pairs. Numbers with
    other ids are never paired, so that their photos do not matter.
    """
    result = script.results[shown]
    measurements = {}
    for name, entry in result.measurements.items():
        # Real photos are others than those that were edited.
        others = [each for each in scripts if (own := each.results[RUN].measurements.get(name)) and own.id == entry.id]
        same = all(each.photos[RUN, name] == script.photos[shown, name] for each in others)
        measurements[name] = entry if same else replace(entry, per_sample=())
    return replace(result, measurements=measurements)
