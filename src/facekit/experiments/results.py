"""From evaluations on disk to a table: which numbers stand in one column, and what is said of each. Torch-free.

Two things vary, and they are kept apart. **Training**: each seed gives a model of its own; the deviation over seeds
says how much. **Photos**: the test photos are a sample of those there are; the bootstrap interval says how much that
matters for these models. Values of one photo under several seeds are no independent observations, so they are never
pooled: each photo counts once, by its mean over the seeds. Whole photos are drawn for the interval, and photos are
paired for tests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from facekit.evaluation.baseline_names import REAL_PHOTOS
from facekit.evaluation.results import bootstrap_interval
from facekit.evaluation.store import StoredEvaluation, StoredMeasurement, read_evaluation
from facekit.training.run.reading import RunRecord, read_run

SIGNIFICANT = 0.05
"""Holm-corrected p below which a difference is called one."""


def mean(values: Sequence[float]) -> float:
    """Return the mean, with an exact sum; NaN for none."""
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1); None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def photo_means(per_seed: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of each photo over the seeds; empty where the seeds do not have the same photos, or none."""
    if not per_seed or not per_seed[0] or len({len(values) for values in per_seed}) > 1:
        return ()
    return tuple(mean(values) for values in zip(*per_seed, strict=True))


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

    differences = [value - other for value, other in zip(values, reference, strict=True)]
    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, zero_method="zsplit").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p corrected for all tests that were made together (Holm, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


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
    key: str = ""


@dataclass(frozen=True)
class System:
    """A row of the table: all the runs of one recipe.

    Args:
        runs: one a seed.
    """

    name: str
    runs: tuple[Done, ...]
    note: str = ""
    trained: bool = True

    @property
    def competes(self) -> bool:
        """Whether its numbers can be the best: those of real photos show what the measure itself gets wrong."""
        return all(run.evaluation is None or run.evaluation.system != REAL_PHOTOS for run in self.runs)

    @property
    def measured(self) -> list[Done]:
        """The runs that have been measured."""
        return [run for run in self.runs if run.evaluation is not None]

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
        deviation: over the seeds; None for fewer than two.
        interval: 95 % bootstrap interval over the photos; None where there is no value for every photo.
        difference: mean difference to the reference row over the photos.
        p: Holm-corrected, of the paired test against the reference row.
    """

    mean: float
    values: tuple[float, ...]
    deviation: float | None
    interval: tuple[float, float] | None
    photos: int
    difference: float | None = None
    p: float | None = None
    verdict: Verdict = "not tested"


@dataclass(frozen=True)
class Cost:
    """What a row took, from the records of its runs.

    Args:
        parameters: of all its networks; 0 for a baseline.
        painting: of those that generate (all but the discriminator).
        seconds: mean wall time of a run.
    """

    parameters: int = 0
    painting: int = 0
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
    numbers = {
        (system.name, column): (entry, photos)
        for system in systems
        for column in found
        if (made := _entry(system, column)) is not None
        for entry, photos in (made,)
    }
    tested: list[tuple[str, Column]] = []
    p_values: list[float] = []
    differences: list[float] = []
    for (row, column), (_, photos) in numbers.items():
        other = numbers.get((reference, column))
        if row == reference or other is None or not photos or len(other[1]) != len(photos):
            continue
        if not all(map(math.isfinite, (*photos, *other[1]))):
            continue
        tested.append((row, column))
        p_values.append(paired_p(photos, other[1]))
        differences.append(mean(photos) - mean(other[1]))
    entries = {place: entry for place, (entry, _) in numbers.items()}
    for column in found:
        if (reference, column) in entries:
            entries[reference, column] = replace(entries[reference, column], verdict="reference")
    for place, p, difference in zip(tested, holm(p_values), differences, strict=True):
        entries[place] = replace(entries[place], p=p, difference=difference, verdict=_verdict(place[1], p, difference))
    measured = [run.evaluation for system in systems for run in system.measured if run.evaluation is not None]
    return Table(
        name=name,
        description=description,
        reference=reference,
        systems=tuple(systems),
        columns=found,
        entries=entries,
        costs={system.name: _cost(system, records or {}) for system in systems},
        fields={evaluation.protocol: evaluation.fields for evaluation in measured},
        tests=len(tested),
    )


def load(file: Path) -> StoredEvaluation | None:
    """Return an evaluation, or None where there is none yet."""
    return read_evaluation(file) if file.is_file() else None


def _columns(systems: Sequence[System], wanted: Sequence[str] | None) -> tuple[Column, ...]:
    order: dict[str, Counter[str]] = {}
    seen: dict[tuple[str, str], StoredMeasurement] = {}
    for system in systems:
        of_row: set[tuple[str, str]] = set()
        for run in system.measured:
            assert run.evaluation is not None
            for measurement in run.evaluation.measurements.values():
                seen.setdefault((measurement.name, measurement.id), measurement)
                of_row.add((measurement.name, measurement.id))
        for name, id_ in of_row:
            order.setdefault(name, Counter())[id_] += 1
    names = list(dict.fromkeys(name for name, _ in seen))
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
    columns = []
    for name in dict.fromkeys(names):
        ids = [id_ for id_, _ in sorted(order[name].items(), key=lambda entry: (-entry[1], entry[0]))]
        for id_ in ids:
            entry = seen[name, id_]
            columns.append(Column(name, id_, entry.unit, entry.better, entry.protocol, other=len(ids) > 1))
    return tuple(columns)


def _entry(system: System, column: Column) -> tuple[Entry, tuple[float, ...]] | None:
    """Return a number and its value for each photo, or None where the row has none under this protocol."""
    found: list[StoredMeasurement] = []
    for run in system.measured:
        assert run.evaluation is not None
        measurement = run.evaluation.measurements.get(column.name)
        if measurement is not None and measurement.id == column.id:
            found.append(measurement)
    values = tuple(entry.value for entry in found if math.isfinite(entry.value))
    if not values:
        return None
    photos = photo_means([entry.per_sample for entry in found])
    entry = Entry(
        mean=mean(values),
        values=values,
        deviation=deviation(values),
        interval=bootstrap_interval(photos) if photos else found[0].interval if len(found) == 1 else None,
        photos=found[0].count,
    )
    return entry, photos


def _verdict(column: Column, p: float, difference: float) -> Verdict:
    if p >= SIGNIFICANT or difference == 0:
        return "not shown"
    return "better" if (difference > 0) == (column.better == "higher") else "worse"


def _cost(system: System, records: Mapping[Path, RunRecord]) -> Cost:
    if not system.trained or not system.measured:
        return Cost()
    runs = [records.get(run.folder) or read_run(run.folder) for run in system.measured]
    first = runs[0]
    parameters = first.parameters
    evaluation = system.measured[0].evaluation
    assert evaluation is not None
    return Cost(
        parameters=sum(parameters.values()),
        painting=sum(count for part, count in parameters.items() if part != "discriminator"),
        steps=evaluation.step,
        batch=first.batch or 0,
        seconds=mean([run.wall_seconds() for run in runs]),
        devices=tuple(sorted({str(run.lock.get("device") or "") for run in runs} - {""})),
    )
