"""Tables as text: Markdown, CSV and LaTeX. Torch-free."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from facekit.evaluation.results import CONFIDENCE, RESAMPLES
from facekit.experiments.results import SIGNIFICANT, Column, Cost, Entry, System, Table
from facekit.experiments.settings import PublishedFigures
from facekit.figures.charts import number
from facekit.figures.html import duration

MARKS = {"better": "▲", "worse": "▼"}
_LATEX_MARKS = {"better": r"$\blacktriangle$", "worse": r"$\blacktriangledown$"}
ARROWS = {"higher": "↑", "lower": "↓"}
MISSING = "–"


def heading(column: Column) -> str:
    """Return what stands over a column: name, unit, direction; the protocol id where there are several."""
    unit = f" ({column.unit})" if column.unit else ""
    id_ = f" [{column.id}]" if column.other else ""
    return f"{column.name}{unit} {ARROWS.get(column.better, '')}{id_}".strip()


def with_spread(value: float, spread: float | None) -> tuple[str, str]:
    """Return a number and its deviation, rounded to the two digits of the deviation that mean something.

    The deviation is empty where there is none.
    """
    if spread is None:
        return number(value), ""
    if not spread:
        return number(value), "0"
    decimals = 1 - math.floor(math.log10(spread))
    if decimals <= 5:
        digits = max(0, decimals)
        return f"{value:,.{digits}f}", f"{spread:,.{digits}f}"
    return number(value), f"{spread:.2g}"


def cell(entry: Entry | None) -> str:
    """Return a number with its deviation over the seeds, and a mark where it differs from the reference row."""
    if entry is None:
        return MISSING
    value, spread = with_spread(entry.mean, entry.deviation)
    mark = f" {MARKS[entry.verdict]}" if entry.verdict in MARKS else ""
    return f"{value} ± {spread}{mark}" if spread else f"{value}{mark}"


def interval(entry: Entry | None) -> str:
    """Return a number's interval over the photos; empty where it has none."""
    if entry is None or entry.interval is None:
        return ""
    low, high = entry.interval
    return f"[{number(low)}, {number(high)}]"


def seeds_of(system: System) -> str:
    """Return how many seeds were measured, of how many, and how many failed."""
    if not system.trained:
        return MISSING if system.measured else "failed" if system.failed else "not run"
    done, total = len(system.measured), len(system.runs)
    text = str(done) if done == total else f"{done} of {total}"
    return f"{text} ({len(system.failed)} failed)" if system.failed else text


def costs(cost: Cost) -> tuple[str, str, str, str]:
    """Return parameters (those that generate, and all), steps, photos of a step, and wall time."""
    if not cost.steps:
        return (MISSING,) * 4
    parameters = f"{cost.painting / 1e6:.3g} M ({cost.parameters / 1e6:.3g} M)"
    return parameters, f"{cost.steps:,}", str(cost.batch), duration(cost.seconds)


COST_HEADINGS = ("parameters (with discriminator)", "steps", "batch", "time a run")


def how_to_read(table: Table) -> list[str]:
    """Return the sentences that belong under a table."""
    share = f"{CONFIDENCE:.0%}"
    lines = [
        "Mean over seeds ± standard deviation over seeds (n - 1): how much training again would change.",
        f"Brackets are {share} bootstrap intervals over the test photos ({RESAMPLES:,} resamples of whole photos, each "
        "by its mean over the seeds): how much other photos would change.",
        f"▲ better, ▼ worse than “{table.reference}”: Wilcoxon signed-rank test over photos paired by their means over "
        f"the seeds, p < {SIGNIFICANT:g} after Holm's correction for all {table.tests} tests of this table. Numbers "
        "that are no mean over photos (distances of distributions) are not tested.",
        "Every number in a column has the same protocol id; numbers with another id stand in a column of their own.",
    ]
    batches = {cost.batch for cost in table.costs.values() if cost.steps}
    if len(batches) > 1:
        lines.append("The rows were trained for equally many steps, but not with equally many photos a step.")
    return lines


def markdown(table: Table, published: PublishedFigures | None = None) -> str:
    """Return the table as Markdown, with what it means under it."""
    heads = ["", *(heading(column) for column in table.columns), "seeds", *COST_HEADINGS]
    rows = []
    for system in table.systems:
        name = f"**{system.name}**" if system.name == table.reference else system.name
        numbers = []
        for column in table.columns:
            entry = table.entries.get((system.name, column))
            text = " ".join(filter(None, (cell(entry), interval(entry))))
            numbers.append(f"**{text}**" if system.name in table.best(column) else text)
        rows.append([name, *numbers, seeds_of(system), *costs(table.costs[system.name])])
    parts = [f"# {table.name}\n"]
    if table.description:
        parts.append(f"{table.description}\n")
    parts.append(_markdown_table(heads, rows))
    parts.append("\n".join(f"- {line}" for line in how_to_read(table)) + "\n")
    notes = [f"- {system.name}: {system.note}" for system in table.systems if system.note]
    if notes:
        parts.append("\n".join(notes) + "\n")
    failures = [
        f"- {system.name}{'' if run.seed is None else f', seed {run.seed}'}: {run.error.splitlines()[0]}"
        for system in table.systems
        for run in system.failed
    ]
    if failures:
        parts.append("Failed:\n\n" + "\n".join(failures) + "\n")
    ids = "\n".join(f"| `{column.name}` | `{column.id}` |" for column in table.columns)
    parts.append(f"| measurement | protocol id |\n|---|---|\n{ids}\n")
    if published is not None:
        parts.append(f"## As published\n\n{published_sentence(published)}\n")
        figures = [
            [name, *(MISSING if value is None or not math.isfinite(value) else f"{value:g}" for value in values)]
            for name, values in published.rows.items()
        ]
        parts.append(_markdown_table(["", *published.columns], figures))
    return "\n".join(parts)


def published_sentence(published: PublishedFigures) -> str:
    """Return what must be said of figures that were not measured here."""
    note = f" {published.note}" if published.note else ""
    return f"Figures of others, not measured here: {published.source}.{note}"


_CSV_COLUMNS = (
    *("row", "measurement", "unit", "better", "protocol_id", "mean", "deviation", "seeds", "values"),
    *("interval_low", "interval_high", "photos", "difference_to_reference", "p_holm", "verdict"),
    *("parameters", "steps", "batch", "seconds"),
)


def csv_text(table: Table, *edits: Table) -> str:
    """Return every number of the table in a line of its own, for programs; after them those of tables of edits.

    Measurements of edits carry the script: ``open_mouth/texture/fine/lips``.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    _write_rows(writer, table)
    for each in edits:
        script = next((fields["script"] for fields in each.fields.values()), each.name)
        _write_rows(writer, each, f"{script}/")
    return stream.getvalue()


def _write_rows(writer: Any, table: Table, prefix: str = "") -> None:
    for system in table.systems:
        cost = table.costs[system.name]
        for column in table.columns:
            entry = table.entries.get((system.name, column))
            if entry is None:
                continue
            low, high = entry.interval or (None, None)
            writer.writerow(
                [
                    *(system.name, f"{prefix}{column.name}", column.unit, column.better, column.id),
                    *(entry.mean, entry.deviation, len(entry.values) if system.trained else ""),
                    *(" ".join(map(repr, entry.values)), low, high, entry.photos),
                    *(entry.difference, entry.p, entry.verdict),
                    *(cost.parameters, cost.steps, cost.batch, round(cost.seconds, 3)),
                ]
            )


def latex(table: Table) -> str:
    """Return the table as LaTeX, for ``booktabs`` and ``amssymb``."""
    columns = table.columns
    heads = []
    for column in columns:
        unit = f" ({column.unit})" if column.unit else ""
        id_ = f" [{column.id}]" if column.other else ""
        heads.append(_escape(f"{column.name.replace('_', ' ')}{unit}{id_} {ARROWS.get(column.better, '')}".strip()))
    lines = [
        f"% {table.name}. Needs \\usepackage{{booktabs}} and \\usepackage{{amssymb}}.",
        *(f"% {line}" for line in how_to_read(table)),
        *(f"% {column.name}: protocol {column.id}" for column in columns),
        f"\\begin{{tabular}}{{l{'r' * len(columns)}rr}}",
        "\\toprule",
        f" & {' & '.join(heads)} & parameters & steps \\\\".replace("↑", r"$\uparrow$").replace("↓", r"$\downarrow$"),
        "\\midrule",
    ]
    for system in table.systems:
        cells = []
        for column in columns:
            entry = table.entries.get((system.name, column))
            if entry is None:
                cells.append("--")
                continue
            value, spread = with_spread(entry.mean, entry.deviation)
            mark = f" {_LATEX_MARKS[entry.verdict]}" if entry.verdict in _LATEX_MARKS else ""
            text = f"{value} $\\pm$ {spread}{mark}" if spread else f"{value}{mark}"
            cells.append(f"\\textbf{{{text}}}" if system.name in table.best(column) else text)
        cost = table.costs[system.name]
        spent = f"{cost.painting / 1e6:.3g}\\,M & {cost.steps:,}".replace(",", "{,}") if cost.steps else "-- & --"
        lines.append(f"{_escape(system.name)} & {' & '.join(cells)} & {spent} \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _escape(text: str) -> str:
    for character in "\\&%$#_{}":
        text = text.replace(character, "\\textbackslash " if character == "\\" else f"\\{character}")
    return text.replace("~", "\\textasciitilde ").replace("^", "\\textasciicircum ")


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"

    rule = "|---|" + "---:|" * (len(heads) - 1)
    return "\n".join([line(heads), rule, *(line(row) for row in rows)]) + "\n"
