"""From evaluations on disk to a table: which numbers stand in one column, and what is said of each. Torch-free.

Two things vary, and they are kept apart. **Training**: each seed gives a model of its own; the deviation over seeds
says how much. **Photos**: the test photos are a sample of those there are; the bootstrap interval says how much that
matters for these models. Values of one photo under several seeds are no independent observations, so they are never
pooled: each photo counts once, by its mean over the seeds. Whole photos are drawn for the interval, and photos are
paired for tests.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import numpy as np

from facekit.evaluation.results import REAL_PHOTOS, bootstrap_interval
from facekit.evaluation.store import StoredEvaluation, StoredMeasurement
from facekit.training.run.reading import RunRecord, read_run

SIGNIFICANT = 0.05
"""Holm-corrected p below which a difference is called one."""

Verdict = Literal["better", "worse", "not shown", "reference", "not tested"]
"""What the test against the reference row says of a number."""


@dataclass(frozen=True)
class Done:
    """One run of a row, or its baseline.

    Args:
        seed: its seed; None for a baseline.
        evaluation: what was measured; None where nothing was, because it failed or was not run.
        error: why it failed; empty unless it did.
    """

    seed: int | None
    folder: Path
    evaluation: StoredEvaluation | None
    error: str = ""


@dataclass(frozen=True)
class System:
    """A row of the table: all the runs of one recipe, one a seed."""

    name: str
    runs: tuple[Done, ...]
    note: str = ""
    trained: bool = True

    @property
    def competes(self) -> bool:
        """Whether its numbers can be the best: those of real photos show what the measure itself gets wrong."""
        return all(found.system != REAL_PHOTOS for found in self.evaluations)

    @property
    def measured(self) -> list[Done]:
        """The runs that have been measured."""
        return [run for run in self.runs if run.evaluation is not None]

    @property
    def evaluations(self) -> list[StoredEvaluation]:
        """What was measured of them."""
        return [run.evaluation for run in self.runs if run.evaluation is not None]

    @property
    def failed(self) -> list[Done]:
        """The runs that failed."""
        return [run for run in self.runs if run.error]


@dataclass(frozen=True)
class Column:
    """Numbers that can be compared: one measurement under one protocol.

    Args:
        unit: ``dB``, ``share`` or empty.
        better: ``higher`` or ``lower``.
        other: whether other numbers of this name stand in a column of their own, so that the id must be shown.
    """

    name: str
    id: str
    unit: str
    better: str
    protocol: Mapping[str, str] = field(compare=False)
    other: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Entry:
    """A number of the table.

    Args:
        mean: over the seeds.
        values: one a seed.
        deviation: sample standard deviation (n - 1) over the seeds; None for fewer than two.
        interval: 95 % bootstrap interval over the photos; None where there is no value for every photo.
        per_photo: each photo's mean over the seeds; empty where the seeds do not have the same photos.
        difference: mean difference to the reference row over the photos.
        p: Holm-corrected, of the paired test against the reference row.
    """

    mean: float
    values: tuple[float, ...]
    deviation: float | None
    interval: tuple[float, float] | None
    photos: int
    per_photo: tuple[float, ...] = ()
    difference: float | None = None
    p: float | None = None
    verdict: Verdict = "not tested"


@dataclass(frozen=True)
class Cost:
    """What a row took, from the records of its runs; zeros for a baseline.

    Args:
        parameters: of all its networks.
        generating: of those that generate (all but the discriminator).
        seconds: mean wall time of a run.
    """

    parameters: int = 0
    generating: int = 0
    steps: int = 0
    batch: int = 0
    seconds: float = 0.0
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Systems and numbers, ready to be written in any form.

    Args:
        entries: the numbers, by row and column; a place without one is missing.
        fields: what the numbers have in common, by the protocol ids of whole evaluations.
        section: of the page, for tables of further results; empty for the main one.
        prefix: of the names of measurements, where they must be told from those of other tables.
    """

    name: str
    description: str
    reference: str
    systems: tuple[System, ...]
    columns: tuple[Column, ...]
    entries: Mapping[tuple[str, Column], Entry]
    costs: Mapping[str, Cost]
    fields: Mapping[str, Mapping[str, str]]
    tests: int
    section: str = ""
    prefix: str = ""

    def best(self, column: Column) -> set[str]:
        """Return the rows with the best number of a column, among at least two; real photos do not compete."""
        rows = {system.name for system in self.systems if system.competes}
        found = {row: entry.mean for (row, other), entry in self.entries.items() if other == column and row in rows}
        values = [value for value in found.values() if math.isfinite(value)]
        if len(values) < 2:
            return set()
        best = max(values) if column.better == "higher" else min(values)
        return {name for name, value in found.items() if value == best}


def photo_means(per_seed: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of each photo over the seeds; empty where the seeds do not have the same photos, or none."""
    if not per_seed or not per_seed[0] or len({len(values) for values in per_seed}) > 1:
        return ()
    return tuple(fmean(values) for values in zip(*per_seed, strict=True))


def paired_p(values: Sequence[float], reference: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test on the differences of paired photos.

    The ranks of photos without a difference are split between both signs (``zsplit``), so that many ties make the test
    careful. Without any difference p is 1.

    Raises:
        ValueError: there is not one value for each value, or there are none.
    """
    if len(values) != len(reference) or not values:
        raise ValueError(f"{len(values)} values cannot be paired with {len(reference)}")
    from scipy.stats import wilcoxon

    differences = np.subtract(values, reference)
    return float(wilcoxon(differences, zero_method="zsplit").pvalue) if differences.any() else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p corrected for all tests that were made together (Holm, 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    tests_left = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, tests_left * np.asarray(p_values)[order]))
    return [float(value) for value in corrected]


def make_table(
    systems: Sequence[System],
    *,
    name: str,
    reference: str,
    description: str = "",
    columns: Sequence[str] | None = None,
    records: Mapping[Path, RunRecord] | None = None,
) -> Table:
    """Return the table of some systems.

    Numbers stand in one column only if their protocol ids are equal. Where a measurement was made under several, each
    id has a column of its own; the one that most rows have comes first.

    Args:
        columns: names of measurements, or what stands before the slash of several; None for all. Measurements that
            stand behind others (details) are columns only where they are named, or where what stands before the slash
            has no others.
        records: run folders that were read before.
    """
    found = _columns(systems, columns)
    made = {(system.name, column): _entry(system, column) for system in systems for column in found}
    entries = {place: entry for place, entry in made.items() if entry is not None}
    tested: list[tuple[str, Column]] = []
    for (row, column), entry in entries.items():
        other = entries.get((reference, column))
        if row == reference or other is None or len(other.per_photo) != len(entry.per_photo):
            continue
        if entry.per_photo and all(map(math.isfinite, (*entry.per_photo, *other.per_photo))):
            tested.append((row, column))
    pairs = [(entries[row, column].per_photo, entries[reference, column].per_photo) for row, column in tested]
    corrected = holm([paired_p(own, other) for own, other in pairs])
    for (row, column), (photos, theirs), p in zip(tested, pairs, corrected, strict=True):
        difference = fmean(photos) - fmean(theirs)
        verdict: Verdict = "better" if (difference > 0) == (column.better == "higher") else "worse"
        if p >= SIGNIFICANT or difference == 0:
            verdict = "not shown"
        entries[row, column] = replace(entries[row, column], p=p, difference=difference, verdict=verdict)
    for column in found:
        if (reference, column) in entries:
            entries[reference, column] = replace(entries[reference, column], verdict="reference")
    return Table(
        name=name,
        description=description,
        reference=reference,
        systems=tuple(systems),
        columns=found,
        entries=entries,
        costs={system.name: _cost(system, records or {}) for system in systems},
        fields={each.protocol: each.fields for system in systems for each in system.evaluations},
        tests=len(tested),
    )


def _columns(systems: Sequence[System], wanted: Sequence[str] | None) -> tuple[Column, ...]:
    rows: defaultdict[str, Counter[str]] = defaultdict(Counter)  # how many rows have an id, by name
    seen: dict[tuple[str, str], StoredMeasurement] = {}
    for system in systems:
        own = {(each.name, each.id): each for found in system.evaluations for each in found.measurements.values()}
        seen = {**own, **seen}
        for name, id_ in own:
            rows[name][id_] += 1
    names = list(
        dict.fromkeys(name for system in systems for found in system.evaluations for name in found.measurements)
    )
    details = {name for (name, _), entry in seen.items() if entry.detail}
    if wanted is None:
        names = [name for name in names if name not in details]
    else:
        # A whole name means that one alone, not the parts it may have as well.
        chosen = []
        for asked in wanted:
            parts = [name for name in names if name.startswith(f"{asked}/")]
            chosen.append([asked] if asked in names else [name for name in parts if name not in details] or parts)
        names = [name for found in chosen for name in found]
    columns: list[Column] = []
    for name in dict.fromkeys(names):
        ids = sorted(rows[name], key=lambda id_: (-rows[name][id_], id_))
        columns += [
            Column(name, id_, entry.unit, entry.better, entry.protocol, other=len(ids) > 1)
            for id_ in ids
            for entry in (seen[name, id_],)
        ]
    return tuple(columns)


def _entry(system: System, column: Column) -> Entry | None:
    """Return a number, or None where the row has none under this protocol."""
    measured = [evaluation.measurements.get(column.name) for evaluation in system.evaluations]
    found = [entry for entry in measured if entry is not None and entry.id == column.id]
    values = tuple(entry.value for entry in found if math.isfinite(entry.value))
    if not values:
        return None
    photos = photo_means([entry.per_sample for entry in found])
    return Entry(
        mean=fmean(values),
        values=values,
        deviation=stdev(values) if len(values) > 1 else None,
        interval=bootstrap_interval(photos) if photos else found[0].interval if len(found) == 1 else None,
        photos=found[0].count,
        per_photo=photos,
    )


def _cost(system: System, records: Mapping[Path, RunRecord]) -> Cost:
    if not system.trained or not system.measured:
        return Cost()
    runs = [records.get(run.folder) or read_run(run.folder) for run in system.measured]
    parameters = runs[0].parameters
    return Cost(
        parameters=sum(parameters.values()),
        generating=sum(count for part, count in parameters.items() if part != "discriminator"),
        steps=system.evaluations[0].step,
        batch=runs[0].batch or 0,
        seconds=fmean(run.wall_seconds() for run in runs),
        devices=tuple(sorted({str(run.lock.get("device") or "") for run in runs} - {""})),
    )
