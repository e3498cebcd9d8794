"""The measurements of a run: the tiles on top, the tables with baselines beside, the course over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facekit.evaluation import baseline_names
from facekit.evaluation.store import BASELINE_PREFIX, read_evaluation
from facekit.figures.charts import Series, line_chart, number
from facekit.figures.html import spoken, text
from facekit.figures.pairs import pair_lists
from facekit.interfaces import FacekitError
from facekit.training.run.folder import EVALUATIONS
from facekit.training.run.metric_lines import step_of
from facekit.training.run.reading import RunRecord

MOST_TILES = 6
THIS_RUN = "this run"
REAL_PHOTOS = spoken(baseline_names.REAL_PHOTOS)
"""The heading of the column that shows the measure's own mistakes: no result can be better, so it does not compete."""


@dataclass(frozen=True)
class Column:
    """One evaluation as a column of a table: what was measured, and its measurements by name."""

    heading: str
    step: int
    measurements: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """Evaluations that may stand beside each other: the same split under the same protocol."""

    split: str
    protocol: str
    fields: Mapping[str, Any]
    columns: tuple[Column, ...]


def results_tables(record: RunRecord) -> list[Table]:
    """Return the last evaluations of each split and protocol, the test split first, the run before its baselines.

    Evaluations with different protocol ids never meet in one table.
    """
    groups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for event in record.of("evaluation"):
        key = (str(event.get("split", "")), str(event.get("protocol", "")))
        groups.setdefault(key, {})[_heading(event)] = event
    tables = [
        Table(
            split=split,
            protocol=protocol,
            fields=next((e["protocol_fields"] for e in events.values() if _is_map(e.get("protocol_fields"))), {}),
            columns=tuple(
                Column(heading, step_of(event) or 0, _by_name(event))
                for heading, event in sorted(events.items(), key=lambda entry: not entry[0].startswith(THIS_RUN))
            ),
        )
        for (split, protocol), events in groups.items()
    ]
    return sorted(tables, key=lambda table: (table.split != "test", table.split))


def tiles(tables: list[Table]) -> str:
    """Return the first measurements of the run's final evaluation, large."""
    own = [column for table in tables[:1] for column in table.columns if column.heading.startswith(THIS_RUN)]
    if not own:
        return ""
    cells = []
    shown = [entry for entry in own[-1].measurements.items() if not _is_detail(entry[1])]
    for name, measurement in shown[:MOST_TILES]:
        unit = str(measurement.get("unit") or "")
        unit_text = f" <small>{text(unit)}</small>" if unit and unit != "share" else ""
        interval = _interval(measurement)
        spread = f'<div class="range">{text(interval)}</div>' if interval else ""
        cells.append(
            f'<div class="tile"><div class="name">{text(spoken(name))}</div>'
            f'<div class="value">{text(_value(measurement))}{unit_text}</div>{spread}</div>'
        )
    return f'<div class="tiles">{"".join(cells)}</div>'


def table_html(table: Table, *, pairs: str = "", folded: bool = False) -> str:
    """Return a table of one split and protocol: a row a measurement, a column an evaluation.

    Measurements that stand behind others have a table of their own under it, which is folded.

    Args:
        pairs: the pairs that were measured, as HTML.
        folded: show only its title until the reader opens it.
    """
    found = {name: entry for column in table.columns for name, entry in column.measurements.items()}
    details = [name for name, entry in found.items() if _is_detail(entry)]
    fields = ", ".join(f"{key} {value}" for key, value in table.fields.items() if value not in (None, "", [], {}))
    steps = sorted({column.step for column in table.columns if column.heading.startswith(THIS_RUN)})
    after = f" after step {steps[-1]:,}" if steps else ""
    title = f"{text(table.split.capitalize())} split{after}"
    caption = "" if folded else f"<caption>{title}</caption>"
    body = (
        f"{rows_html(table, [name for name in found if name not in details], caption)}"
        f"<p class=note>Brackets are 95% intervals over the faces. Protocol "
        f"<code>{text(table.protocol)}</code>; figures with other protocol ids are not comparable.</p>"
    )
    if details:
        body += (
            f"<details><summary>Single regions, classes and further measures: {len(details)}</summary>"
            f"{rows_html(table, details, '')}</details>"
        )
    if _training_photos(table):
        body += (
            f"<p class=note>In generation, {text(REAL_PHOTOS.lower())} are photos of the training split: what a model "
            "would get that had learned them by heart.</p>"
        )
    if fields:
        body += f"<details class=how><summary>what the protocol stands for</summary>{text(fields)}</details>"
    body += pairs
    return f"<details><summary>{title}</summary>{body}</details>" if folded else body


def rows_html(table: Table, names: Sequence[str], caption: str) -> str:
    """Return the table of some measurements."""
    head = "".join(f"<th class=number>{text(column.heading)}</th>" for column in table.columns)
    rows = []
    for name in names:
        found = [column.measurements.get(name) for column in table.columns]
        best = _best([None if column.heading == REAL_PHOTOS else entry for column, entry in zip(table.columns, found)])
        facts: Mapping[str, Any] = next(filter(None, found), {})
        cells = "".join(_cell(entry, best=index in best) for index, entry in enumerate(found))
        unit = str(facts.get("unit") or "")
        count = f"{facts['count']:,}" if isinstance(facts.get("count"), int) and facts["count"] else ""
        arrow = {"higher": "↑", "lower": "↓"}.get(str(facts.get("better")), "")
        own = facts.get("protocol")
        detail = "; ".join(f"{key}: {value}" for key, value in own.items()) if isinstance(own, Mapping) else ""
        rows.append(
            f"<tr><td>{text(spoken(name))} <span class=dim>{text(unit)} {arrow}</span>"
            + (f"<details class=how><summary>how</summary>{text(detail)}</details>" if detail else "")
            + f"</td>{cells}<td class=number>{count}</td></tr>"
        )
    return (
        f"<div class=scroll><table>{caption}"
        f"<thead><tr><th>Measurement</th>{head}<th class=number>n</th></tr></thead><tbody>{''.join(rows)}</tbody>"
        "</table></div>"
    )


def course(record: RunRecord) -> str:
    """Return charts of what was measured repeatedly while training, one a family of measurements."""
    families: dict[str, dict[str, Series]] = {}
    for event in record.of("evaluation"):
        if not _heading(event).startswith(THIS_RUN) or event.get("split") == "test":
            continue
        for name, measurement in _by_name(event).items():
            value = measurement.get("value")
            if isinstance(value, (int, float)) and value == value and not _is_detail(measurement):
                family, _, part = name.partition("/")
                points = families.setdefault(family, {}).setdefault(part or family, [])
                points.append((step_of(event) or 0, float(value)))
    return "".join(
        line_chart(spoken(family), curves, note="on the validation split while training", smooth=False)
        for family, curves in families.items()
        if any(len(points) > 1 for points in curves.values())
    )


def _training_photos(table: Table) -> bool:
    """Return whether training photos stand for generated ones in a column."""
    columns = (column.measurements.values() for column in table.columns if column.heading == REAL_PHOTOS)
    protocols = [entry.get("protocol") for entries in columns for entry in entries]
    return any(isinstance(own, Mapping) and own.get("task") == "generation" for own in protocols)


def _heading(event: Mapping[str, Any]) -> str:
    weights = str(event.get("weights") or "")
    if weights.startswith(BASELINE_PREFIX):
        return spoken(weights.removeprefix(BASELINE_PREFIX))
    return f"{THIS_RUN} ({weights.upper() if weights == 'ema' else weights} weights)" if weights else THIS_RUN


def _by_name(event: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = event.get("measurements")
    if not isinstance(found, list):
        return {}
    return {str(entry["name"]): entry for entry in found if _is_map(entry) and "name" in entry}


def _best(found: list[Mapping[str, Any] | None]) -> set[int]:
    """Return which columns are best; none where there is nothing to compare with."""
    values = [
        (float(entry["value"]), index)
        for index, entry in enumerate(found)
        if entry and isinstance(entry.get("value"), (int, float)) and entry["value"] == entry["value"]
    ]
    better = next((entry.get("better") for entry in found if entry), None)
    if len(values) < 2 or better not in ("higher", "lower"):
        return set()
    best = (max(values) if better == "higher" else min(values))[0]
    return {index for value, index in values if value == best}


def _cell(measurement: Mapping[str, Any] | None, *, best: bool) -> str:
    if measurement is None:
        return '<td class="number dim">–</td>'
    interval = _interval(measurement)
    spread = f"<small>{text(interval)}</small>" if interval else ""
    return f'<td class="number{" best" if best else ""}">{text(_value(measurement))}{spread}</td>'


def _value(measurement: Mapping[str, Any]) -> str:
    value = measurement.get("value")
    return number(float(value)) if isinstance(value, (int, float)) and value == value else "–"


def _interval(measurement: Mapping[str, Any]) -> str:
    interval = measurement.get("interval")
    if not isinstance(interval, (list, tuple)) or len(interval) != 2:
        return ""
    if not all(isinstance(end, (int, float)) for end in interval):
        return ""
    return f"[{number(float(interval[0]))}, {number(float(interval[1]))}]"


def _is_detail(measurement: Mapping[str, Any]) -> bool:
    """Return whether a measurement stands behind another, and is not shown unless asked for."""
    return measurement.get("detail") is True


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def measured_pairs(record: RunRecord, table: Table) -> str:
    """Return the lists of pairs of the run's own last evaluation in a table; an empty string where none is kept.

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
            return pair_lists(kept.pairs, seed=kept.fields.get("task_seed", ""))
    return ""
