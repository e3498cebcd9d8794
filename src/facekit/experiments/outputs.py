"""Writes what a comparison has to say: tables, contact sheet and page; not again where it stands. Torch-free."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facekit import __version__
from facekit.evaluation.results import CONFIDENCE, RESAMPLES
from facekit.experiments.further import further_tables
from facekit.experiments.jobs import CSV, LATEX, MARKDOWN, PAGE, RESULTS, SHEET
from facekit.experiments.pictures import charts, contact_sheet
from facekit.experiments.results import SIGNIFICANT, Column, Entry, System, Table, make_table
from facekit.experiments.settings import PublishedFigures, SheetSettings
from facekit.figures.charts import number
from facekit.figures.page import data_uri, duration, render, write_page
from facekit.interfaces import FurtherResults
from facekit.training.run.folder import full_disk_stops, write_file, write_json
from facekit.training.run.reading import read_run

MARKS = {"better": "▲", "worse": "▼"}
ARROWS = {"higher": "↑", "lower": "↓"}
MISSING = "–"
COST_HEADINGS = ("parameters (with discriminator)", "steps", "batch", "time a run")

WIDEST_SHEET = 2400

_CSV_COLUMNS = (
    *("row", "measurement", "unit", "better", "protocol_id", "mean", "deviation", "seeds", "values"),
    *("interval_low", "interval_high", "photos", "difference_to_reference", "p_holm", "verdict"),
    *("parameters", "steps", "batch", "seconds"),
)

Summary = Mapping[str, Any]
"""What the terminal shows of a table: ``columns``, ``rows``, ``reference``; the same of other tables in ``further``."""


def digest_of(said: Any, files: Iterable[Path]) -> str:
    """Return a hash of what results are made of: settings, and files by name, date and size."""
    digest = hashlib.sha256(json.dumps([__version__, said], sort_keys=True, default=str).encode())
    for file in files:
        there = file.stat() if file.is_file() else None
        digest.update(f"{file}\0{there and (there.st_mtime_ns, there.st_size)}\0".encode())
    return digest.hexdigest()


def read_summary(out: Path, digest: str) -> Summary | None:
    """Return what the terminal shows, when the results in a folder were made of exactly this; else None."""
    try:
        document = json.loads((out / RESULTS).read_text(encoding="utf-8"))
        complete = all((out / name).is_file() for name in (MARKDOWN, CSV, LATEX, PAGE))
        if complete and document["digest"] == digest and "further" in document["summary"]:
            summary: Summary = document["summary"]
            return summary
    except (OSError, ValueError, KeyError, TypeError):
        return None  # they are written again
    return None


def write_results(
    out: Path,
    systems: Sequence[System],
    *,
    digest: str,
    name: str,
    reference: str,
    kind: str,
    description: str = "",
    columns: Sequence[str] | None = None,
    sheet: SheetSettings | None = None,
    published: PublishedFigures | None = None,
    grid_text: str = "",
    commands: Sequence[tuple[str, str]] = (),
    further: Mapping[Path, Sequence[FurtherResults]] | None = None,
) -> Summary:
    """Write everything, and return what the terminal shows.

    Args:
        digest: what :func:`digest_of` returned for them.
        kind: what sort of page it is, e.g. ``facekit ablation``.
        columns: which measurements; None for all.
        published: figures of others; None for none.
        grid_text: the grid; empty where there is none.
        commands: how to make it again: titles and lines.
        further: what plugins measured beside the evaluations, by run folder.

    Raises:
        FacekitError: a run folder or a picture cannot be read.
        RunFailure: a file cannot be written.
    """
    trained = [run for system in systems if system.trained for run in system.measured]
    records = {run.folder: read_run(run.folder) for run in trained}
    table = make_table(
        systems, name=name, reference=reference, description=description, columns=columns, records=records
    )
    tables = (table, *further_tables(systems, further or {}, reference=reference, records=records))
    settings = sheet or SheetSettings()
    drawn = contact_sheet(systems, task=settings.task, faces=settings.faces)
    texts = {
        MARKDOWN: "\n".join(markdown(each, published if each is table else None) for each in tables),
        CSV: csv_text(*tables),
        LATEX: "\n".join(map(latex, tables)),
    }
    with full_disk_stops(out):
        out.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_file(out / file, text.encode())
        if drawn is None:
            (out / SHEET).unlink(missing_ok=True)
        else:
            drawn[0].save(out / SHEET, format="PNG")
    pairs: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {name: {} for name in table.fields}
    for evaluation in (each for system in systems for each in system.evaluations):
        pairs[evaluation.protocol].update(evaluation.pairs)
    page = render(
        "experiments/comparison.html",
        title=table.name,
        kind=kind,
        lead=table.description,
        version=__version__,
        wide=True,
        **_view(table),
        further=[_view(each) for each in tables[1:]],
        published=published,
        sheet=None if drawn is None else data_uri(drawn[0], widest=WIDEST_SHEET),
        task=settings.task,
        faces=[] if drawn is None else drawn[1],
        charts=charts(table, records),
        runs=[(system, run, _report(run.folder, out)) for system in systems for run in system.runs],
        pairs=pairs,
        grid_text=grid_text,
        commands=commands,
    )
    write_page(out / PAGE, page, what="page")
    summary = {**summary_of(table), "further": {each.name: summary_of(each) for each in tables[1:]}}
    write_json(out / RESULTS, {"digest": digest, "summary": summary})
    return summary


def summary_of(table: Table) -> Summary:
    """Return what the terminal shows of a table, as JSON data."""
    view = _view(table)
    rows = [
        [
            row["name"],
            *(MISSING if cell is None else cell["text"] for cell in row["cells"]),
            row["seeds"],
            *row["costs"][1:],
        ]
        for row in view["rows"]
    ]
    return {"columns": ["", *view["headings"], "seeds", *COST_HEADINGS[1:]], "rows": rows, "reference": table.reference}


def markdown(table: Table, published: PublishedFigures | None = None) -> str:
    """Return the table as Markdown, with what it means under it."""
    return render("experiments/table.md", **_view(table), published=published)


def latex(table: Table) -> str:
    """Return the table as LaTeX, for ``booktabs`` and ``amssymb``."""
    return render("experiments/table.tex", **_view(table))


def csv_text(*tables: Table) -> str:
    """Return every number of the tables in a line of its own, for programs.

    Measurements of further tables carry the name of what was measured: ``open_mouth/texture/fine/lips``.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for table in tables:
        for system in table.systems:
            cost = table.costs[system.name]
            for column in table.columns:
                entry = table.entries.get((system.name, column))
                if entry is None:
                    continue
                name, (low, high) = f"{table.prefix}{column.name}", entry.interval or (None, None)
                writer.writerow(
                    [
                        *(system.name, name, column.unit, column.better, column.id),
                        *(entry.mean, entry.deviation, len(entry.values) if system.trained else ""),
                        *(" ".join(map(repr, entry.values)), low, high, entry.photos),
                        *(entry.difference, entry.p, entry.verdict),
                        *(cost.parameters, cost.steps, cost.batch, round(cost.seconds, 3)),
                    ]
                )
    return stream.getvalue()


def _view(table: Table) -> dict[str, Any]:
    """Return a table as the templates take it: numbers as they are read."""
    best = {column: table.best(column) for column in table.columns}
    rows = []
    for system in table.systems:
        measured, cost = len(system.measured), table.costs[system.name]
        if system.trained:
            seeds = str(measured) if measured == len(system.runs) else f"{measured} of {len(system.runs)}"
            seeds += f" ({len(system.failed)} failed)" if system.failed else ""
        else:
            seeds = MISSING if measured else "failed" if system.failed else "not run"
        costs: tuple[str, ...] = (MISSING,) * len(COST_HEADINGS)
        if cost.steps:
            parameters = f"{cost.generating / 1e6:.3g} M ({cost.parameters / 1e6:.3g} M)"
            costs = (parameters, f"{cost.steps:,}", str(cost.batch), duration(cost.seconds))
        cells = [
            _cell(table.entries.get((system.name, column)), best=system.name in best[column])
            for column in table.columns
        ]
        row = {"name": system.name, "reference": system.name == table.reference, "note": system.note, "cells": cells}
        rows.append({**row, "seeds": seeds, "costs": costs, "cost": cost, "failed": system.failed})
    return {
        "table": table,
        "headings": [heading(column) for column in table.columns],
        "cost_headings": ("seeds", *COST_HEADINGS),
        "arrows": ARROWS,
        "missing": MISSING,
        "rows": rows,
        "how": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "significant": SIGNIFICANT},
    }


def _cell(entry: Entry | None, *, best: bool) -> dict[str, Any] | None:
    if entry is None:
        return None
    value, spread = with_spread(entry.mean, entry.deviation)
    mark = MARKS.get(entry.verdict, "")
    title = [f"seeds: {', '.join(number(value) for value in entry.values)}", f"n {entry.photos}"]
    if entry.p is not None and entry.difference is not None:
        title.append(
            f"difference {number(entry.difference)}, p {entry.p:.2g} after Holm (below {SIGNIFICANT:g} is marked)"
        )
    return {
        "text": " ".join(filter(None, (f"{value} ± {spread}" if spread else value, mark))),
        **{"value": value, "spread": spread, "mark": mark, "verdict": entry.verdict, "best": best},
        "interval": "" if entry.interval is None else f"[{number(entry.interval[0])}, {number(entry.interval[1])}]",
        "title": "; ".join(title),
    }


def heading(column: Column) -> str:
    """Return what stands over a column: name, unit, direction; the protocol id where there are several."""
    unit = f" ({column.unit})" if column.unit else ""
    id_ = f" [{column.id}]" if column.other else ""
    return f"{column.name}{unit} {ARROWS.get(column.better, '')}{id_}".strip()


def with_spread(value: float, spread: float | None) -> tuple[str, str]:
    """Return a number and its deviation, rounded to the two digits of the deviation that mean something.

    The deviation is empty where there is none.
    """
    if not spread:
        return number(value), "" if spread is None else "0"
    decimals = 1 - math.floor(math.log10(spread))
    if decimals > 5:
        return number(value), f"{spread:.2g}"
    digits = max(0, decimals)
    return f"{value:,.{digits}f}", f"{spread:,.{digits}f}"


def _report(run: Path, home: Path) -> str:
    """Return the link to a run's report, relative to the folder that the page lies in; empty where there is none."""
    report = run / "report.html"
    return report.relative_to(home).as_posix() if report.is_file() and report.is_relative_to(home) else ""
