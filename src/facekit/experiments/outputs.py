"""Writes what a comparison has to say: tables, contact sheet and page; not again where it stands. Torch-free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facekit import __version__
from facekit.experiments.edits import edit_tables
from facekit.experiments.jobs import CSV, LATEX, MARKDOWN, PAGE, RESULTS, SHEET
from facekit.experiments.page import Sheet, contact_sheet, render_page
from facekit.experiments.results import System, Table, make_table
from facekit.experiments.settings import PublishedFigures, SheetSettings
from facekit.experiments.tables import COST_HEADINGS, cell, costs, csv_text, heading, latex, markdown, seeds_of
from facekit.figures.page import write_page
from facekit.training.run.folder import full_disk_stops, write_file, write_json
from facekit.training.run.reading import read_run

Summary = Mapping[str, Any]
"""What the terminal shows of a table: ``columns``, ``rows``, ``reference``, and ``edits``, the same a script."""


def digest_of(said: Any, files: Iterable[Path]) -> str:
    """Return a hash of what results are made of: settings, and files by name, date and size."""
    digest = hashlib.sha256(json.dumps([__version__, said], sort_keys=True, default=str).encode())
    for file in files:
        there = file.stat() if file.is_file() else None
        digest.update(f"{file}\0{there and (there.st_mtime_ns, there.st_size)}\0".encode())
    return digest.hexdigest()


def read_summary(out: Path, digest: str) -> Summary | None:
    """Return what the terminal shows, when the results in a folder were made of exactly this; else None."""
    files = (MARKDOWN, CSV, LATEX, PAGE)
    try:
        document = json.loads((out / RESULTS).read_text(encoding="utf-8"))
        if document["digest"] == digest and all((out / name).is_file() for name in files):
            summary: Summary = {"edits": {}, **document["summary"]}  # older tables have no edits
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
) -> Summary:
    """Write everything, and return what the terminal shows.

    Args:
        digest: what :func:`digest_of` returned for them.
        columns: which measurements; None for all.

    Raises:
        FacekitError: a run folder or a picture cannot be read.
        RunFailure: a file cannot be written.
    """
    records = {
        run.folder: read_run(run.folder)
        for system in systems
        if system.trained
        for run in system.runs
        if run.evaluation
    }
    table = make_table(
        systems, name=name, reference=reference, description=description, columns=columns, records=records
    )
    settings = sheet or SheetSettings()
    drawn = contact_sheet(systems, task=settings.task, faces=settings.faces)
    edits = edit_tables(systems, reference=reference, records=records)
    texts = {
        MARKDOWN: "\n".join([markdown(table, published), *(markdown(each) for each in edits)]),
        CSV: csv_text(table, *edits),
        LATEX: "\n".join(latex(each) for each in (table, *edits)),
    }
    with full_disk_stops(out):
        out.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_file(out / file, text.encode())
        if drawn is None:
            (out / SHEET).unlink(missing_ok=True)
        else:
            drawn[0].save(out / SHEET, format="PNG")
    content = render_page(
        table,
        kind=kind,
        records=records,
        sheet=None if drawn is None else Sheet(*drawn, settings.task),
        published=published,
        grid_text=grid_text,
        commands=commands,
        home=out,
        edits=edits,
    )
    write_page(out / PAGE, content, what="page")
    summary = {**summary_of(table), "edits": {each.name: summary_of(each) for each in edits}}
    write_json(out / RESULTS, {"digest": digest, "summary": summary})
    return summary


def summary_of(table: Table) -> Summary:
    """Return what the terminal shows of a table, as JSON data."""
    columns = ["", *(heading(column) for column in table.columns), "seeds", *COST_HEADINGS[1:]]
    rows = [
        [
            system.name,
            *(cell(table.entries.get((system.name, column))) for column in table.columns),
            seeds_of(system),
            *costs(table.costs[system.name])[1:],
        ]
        for system in table.systems
    ]
    return {"columns": columns, "rows": rows, "reference": table.reference}
