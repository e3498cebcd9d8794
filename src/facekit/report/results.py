"""The measurements of a run as tables: evaluations of one split and protocol, and what plugins measured beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facekit.evaluation.results import REAL_PHOTOS as _REAL_PHOTOS
from facekit.evaluation.store import BASELINE_PREFIX, read_evaluation
from facekit.figures.charts import Series, number
from facekit.figures.page import png_uri, spoken
from facekit.interfaces import FacekitError, FurtherResults
from facekit.training.run.folder import EVALUATIONS
from facekit.training.run.metric_lines import step_of
from facekit.training.run.reading import RunRecord

MOST_TILES = 6
THIS_RUN = "this run"
REAL_PHOTOS = spoken(_REAL_PHOTOS)
"""The heading of the column that shows the measure's own mistakes: no result can be better, so it does not compete."""

WIDEST, MOST_PIXELS = 900, 4_000_000
"""Of the pictures of further results."""

Measured = Mapping[str, Any]
"""A measurement as it stands in ``metrics.jsonl``, which may be damaged: anything may be missing or of another type."""


@dataclass(frozen=True)
class Column:
    """One evaluation as a column of a table: what was measured, and its measurements by name."""

    heading: str
    step: int
    measurements: Mapping[str, Measured]

    @property
    def own(self) -> bool:
        """Whether it is of the run itself."""
        return self.heading.startswith(THIS_RUN)


@dataclass(frozen=True)
class Table:
    """Evaluations that may stand beside each other: the same split under the same protocol."""

    split: str
    protocol: str
    fields: Mapping[str, Any]
    columns: tuple[Column, ...]

    @property
    def title(self) -> str:
        """The split, and the step of the run's last evaluation."""
        steps = sorted({column.step for column in self.columns if column.own})
        return f"{self.split.capitalize()} split" + (f" after step {steps[-1]:,}" if steps else "")

    def rows(self, *, details: bool = False) -> list[dict[str, Any]]:
        """Return the rows of the measurements, or of those that stand behind others (details)."""
        found = {name: entry for column in self.columns for name, entry in column.measurements.items()}
        return [self._row(name) for name, entry in found.items() if (entry.get("detail") is True) == details]

    def _row(self, name: str) -> dict[str, Any]:
        found = [column.measurements.get(name) for column in self.columns]
        facts: Measured = next(filter(None, found), {})
        numbers = {
            index: float(entry["value"])
            for index, entry in enumerate(found)
            if entry and _is_number(entry.get("value")) and self.columns[index].heading != REAL_PHOTOS
        }
        best = {"higher": max, "lower": min}.get(str(facts.get("better")))
        top = best(numbers.values()) if best is not None and len(numbers) > 1 else None
        cells = [None if entry is None else {"value": _value(entry), "interval": _interval(entry)} for entry in found]
        count, how = facts.get("count"), facts.get("protocol")
        return {
            "name": name,
            "unit": str(facts.get("unit") or ""),
            "arrow": {"higher": "↑", "lower": "↓"}.get(str(facts.get("better")), ""),
            "how": how if isinstance(how, Mapping) else {},
            "cells": cells,
            "best": {index for index, value in numbers.items() if value == top},
            "count": f"{count:,}" if isinstance(count, int) and count else "",
        }

    @property
    def training_photos(self) -> bool:
        """Whether training photos stand for generated ones in a column."""
        columns = (column.measurements.values() for column in self.columns if column.heading == REAL_PHOTOS)
        protocols = [entry.get("protocol") for entries in columns for entry in entries]
        return any(isinstance(own, Mapping) and own.get("task") == "generation" for own in protocols)


def results_tables(record: RunRecord) -> list[Table]:
    """Return the last evaluations of each split and protocol, the test split first, the run before its baselines.

    Evaluations with different protocol ids never meet in one table.
    """
    groups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for event in record.of("evaluation"):
        key = (str(event.get("split", "")), str(event.get("protocol", "")))
        groups.setdefault(key, {})[_heading(event)] = event
    tables = []
    for (split, protocol), events in groups.items():
        fields = (event.get("protocol_fields") for event in events.values())
        columns = [Column(name, step_of(event) or 0, _by_name(event)) for name, event in events.items()]
        columns.sort(key=lambda column: not column.own)
        tables.append(
            Table(split, protocol, next((each for each in fields if isinstance(each, Mapping)), {}), tuple(columns))
        )
    return sorted(tables, key=lambda table: (table.split != "test", table.split))


def tiles(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the first measurements of the run's final evaluation, for the top of the page."""
    own = [column for table in tables[:1] for column in table.columns if column.own]
    shown = (
        [(name, entry) for name, entry in own[-1].measurements.items() if entry.get("detail") is not True]
        if own
        else []
    )
    return [
        {
            "name": name,
            "value": _value(entry),
            "unit": "" if entry.get("unit") == "share" else str(entry.get("unit") or ""),
            "interval": _interval(entry),
        }
        for name, entry in shown[:MOST_TILES]
    ]


def measured_pairs(record: RunRecord, table: Table) -> dict[str, Any]:
    """Return the lists of pairs of the run's own last evaluation in a table, and their seed; no list where none is.

    An evaluation that cannot be read is passed over and added to ``record.problems``.
    """
    # Names begin with the step, so the last comes first.
    for file in sorted((record.folder / EVALUATIONS).glob(f"*-{table.split}-*.json"), reverse=True):
        try:
            kept = read_evaluation(file)
        except FacekitError as error:
            record.problems.append(f"{EVALUATIONS}/{file.name}: {error.message}")
            continue
        if kept.protocol == table.protocol and not kept.weights.startswith(BASELINE_PREFIX):
            return {"lists": kept.pairs, "seed": kept.fields.get("task_seed", "")}
    return {"lists": {}, "seed": ""}


def course(record: RunRecord) -> list[dict[str, Any]]:
    """Return charts of what was measured repeatedly while training, one a family of measurements."""
    families: dict[str, dict[str, Series]] = {}
    for event in record.of("evaluation"):
        if not _heading(event).startswith(THIS_RUN) or event.get("split") == "test":
            continue
        for name, entry in _by_name(event).items():
            if _is_number(entry.get("value")) and entry.get("detail") is not True:
                family, _, part = name.partition("/")
                points = families.setdefault(family, {}).setdefault(part or family, [])
                points.append((step_of(event) or 0, float(entry["value"])))
    return [
        {
            "title": spoken(family),
            "curves": curves,
            "note": "on the validation split while training",
            "smooth": False,
        }
        for family, curves in families.items()
        if any(len(points) > 1 for points in curves.values())
    ]


def further_sections(found: Iterable[FurtherResults], problems: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what plugins measured, by the heading of its section. What is damaged is added to ``problems``."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for each in found:
        if each.damaged:
            problems.append(f"{each.file.parent.name}/{each.file.name}: {each.damaged}")
            continue
        columns = [
            Column(THIS_RUN if system == FurtherResults.RUN else spoken(system), each.step, _by_name(document))
            for system, document in each.results.items()
        ]
        first: Mapping[str, Any] = next(iter(each.results.values()), {})
        table = Table(each.split, str(first.get("protocol", "")), first.get("protocol_fields", {}), tuple(columns))
        picture = None
        if each.picture is not None:
            picture = png_uri(each.picture, problems, widest=WIDEST, most_pixels=MOST_PIXELS)
        sections.setdefault(each.section, []).append({"results": each, "table": table, "picture": picture})
    return sections


def _heading(event: Mapping[str, Any]) -> str:
    weights = str(event.get("weights") or "")
    if weights.startswith(BASELINE_PREFIX):
        return spoken(weights.removeprefix(BASELINE_PREFIX))
    return f"{THIS_RUN} ({weights.upper() if weights == 'ema' else weights} weights)" if weights else THIS_RUN


def _by_name(event: Mapping[str, Any]) -> dict[str, Measured]:
    found = event.get("measurements")
    entries = found if isinstance(found, list) else []
    return {str(entry["name"]): entry for entry in entries if isinstance(entry, Mapping) and "name" in entry}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value


def _value(entry: Measured) -> str:
    return number(float(entry["value"])) if _is_number(entry.get("value")) else "–"


def _interval(entry: Measured) -> str:
    interval = entry.get("interval")
    if not isinstance(interval, (list, tuple)) or len(interval) != 2:
        return ""
    if not all(isinstance(end, (int, float)) for end in interval):
        return ""
    return f"[{number(float(interval[0]))}, {number(float(interval[1]))}]"
