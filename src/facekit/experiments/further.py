"""What plugins measured of runs beside their evaluations (edits, say), as tables of a comparison. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from facekit.evaluation.store import StoredEvaluation, readable_document, stored_evaluation
from facekit.experiments.results import Done, System, Table, make_table
from facekit.interfaces import FacekitError, FurtherResults
from facekit.training.run.reading import RunRecord

RUN = FurtherResults.RUN

_Read = tuple[FurtherResults, Mapping[str, StoredEvaluation]]


def further_tables(
    systems: Sequence[System],
    further: Mapping[Path, Sequence[FurtherResults]],
    *,
    reference: str,
    records: Mapping[Path, RunRecord] | None = None,
) -> tuple[Table, ...]:
    """Return a table of each thing that was measured of some run: one row a system, baselines after them.

    Results count where they are of the weights, the step and the split of the run's own evaluation.

    Args:
        further: what plugins measured, by run folder.
        records: run folders that were read before.

    Raises:
        FacekitError: a file of a run folder cannot be read.
    """
    places: dict[tuple[str, str], dict[Path, _Read]] = {}
    for run in (run for system in systems if system.trained for run in system.measured):
        wanted = run.evaluation
        assert wanted is not None
        for each in further.get(run.folder, ()):
            if each.damaged:
                raise FacekitError(each.damaged, where=str(each.file), remedy="remove it and measure again")
            own = (each.split, each.weights, each.step) == (wanted.split, wanted.weights, wanted.step)
            if own and not each.skipped:
                with readable_document(each.file):
                    read = {name: stored_evaluation(found, each.file) for name, found in each.results.items()}
                places.setdefault((each.section, each.name), {})[run.folder] = (each, read)
    return tuple(_table(place, systems, found, reference, records) for place, found in places.items())


def _table(
    place: tuple[str, str],
    systems: Sequence[System],
    found: Mapping[Path, _Read],
    reference: str,
    records: Mapping[Path, RunRecord] | None,
) -> Table:
    def paired(results: Mapping[str, StoredEvaluation], shown: str) -> StoredEvaluation:
        """Return a result whose single values stand only where all runs have values of the same samples.

        A part may show in one result and not in another; values of other photos must not be taken for pairs. Numbers
        with other ids are never paired, so that their samples do not matter.
        """
        measurements = {}
        for name, entry in results[shown].measurements.items():
            others = [read[RUN].measurements.get(name) for _, read in found.values()]
            same = all(other.samples == entry.samples for other in others if other and other.id == entry.id)
            measurements[name] = entry if same else replace(entry, per_sample=())
        return replace(results[shown], measurements=measurements)

    rows = []
    for system in systems:
        runs = [run for run in system.measured if run.folder in found] if system.trained else []
        if runs:
            done = tuple(replace(run, evaluation=paired(found[run.folder][1], RUN)) for run in runs)
            about = dict.fromkeys(found[run.folder][0].about for run in runs)
            rows.append(replace(system, runs=done, note="; ".join(about)))
    # Baselines and real photos are the same for every run that was measured on the same photos.
    baselines: dict[tuple[str, str], Done] = {}
    for folder, (_, read) in found.items():
        for name in (name for name in read if name != RUN):
            evaluation = paired(read, name)
            baselines.setdefault((name, evaluation.protocol), Done(None, folder, evaluation))
    names = [name for name, _ in baselines]
    for (name, protocol), run in baselines.items():
        several = f" [{protocol}]" if names.count(name) > 1 else ""
        rows.append(System(f"{name.replace('_', ' ')}{several}", (run,), trained=False))
    section, name = place
    table = make_table(rows, name=f"{section}: {name}", reference=reference, records=records)
    return replace(table, section=section, prefix=f"{name}/")
