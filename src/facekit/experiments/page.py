"""The page of an ablation: table, contact sheet, curves and runs, in one file that needs nothing else. Torch-free."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facekit import __version__
from facekit.evaluation.store import BASELINE_PREFIX, KeptPicture
from facekit.experiments.results import SIGNIFICANT, Column, Entry, System, Table, mean
from facekit.experiments.settings import PublishedFigures
from facekit.experiments.tables import (
    ARROWS,
    COST_HEADINGS,
    MARKS,
    MISSING,
    costs,
    how_to_read,
    interval,
    published_sentence,
    seeds_of,
    with_spread,
)
from facekit.figures.charts import COLOURS, Series, line_chart, number
from facekit.figures.html import command, numbers_table, section, spoken, text, yaml
from facekit.figures.page import data_uri, page
from facekit.figures.pairs import pair_lists
from facekit.figures.sheet import draw_sheet
from facekit.training.run.reading import RunRecord

SMALLEST_SIDE = 96
"""Smaller pictures are shown with larger pixels, so that they and their headings can be read."""


def contact_sheet(
    systems: Sequence[System], *, task: str, faces: int
) -> tuple[Image.Image, list[tuple[str, str]]] | None:
    """Return the sheet and the (target, reference) keys of its rows; None where no system has pictures.

    Of a system that was trained with several seeds, the results of its first one that was measured are shown.

    Args:
        systems: the rows of the table, which are the columns of the sheet.
        faces: how many faces at most, spread over those that were kept.
    """
    shown: list[tuple[str, dict[tuple[str, str], KeptPicture]]] = []
    for system in systems:
        evaluation = next((run.evaluation for run in system.measured if run.evaluation is not None), None)
        kept = () if evaluation is None else evaluation.pictures.get(task, ())
        if kept:
            shown.append((system.name, {(picture.key, picture.reference_key): picture for picture in kept}))
    if not shown:
        return None
    # A system that was measured on other faces has empty places.
    all_pairs = list(dict.fromkeys(pair for _, pictures in shown for pair in pictures))
    chosen = np.unique(np.linspace(0, len(all_pairs) - 1, min(faces, len(all_pairs))).round().astype(int))
    pairs = [all_pairs[index] for index in chosen]
    parts = {(name, pair): pictures[pair].parts() for name, pictures in shown for pair in pairs if pair in pictures}

    def common(part: str) -> list[np.ndarray | None]:
        """Return a part of each row, of the first system whose pictures show it."""
        found = [[parts[name, pair].get(part) for name, _ in shown if (name, pair) in parts] for pair in pairs]
        return [next((each for each in row if each is not None), None) for row in found]

    side = max(part["result"].shape[0] for part in parts.values())
    side *= math.ceil(SMALLEST_SIDE / side)
    columns = [(title, common(title)) for title in ("mask", "reference")]
    columns += [
        (name, [parts[name, pair]["result"] if (name, pair) in parts else None for pair in pairs]) for name, _ in shown
    ]
    columns.append(("photo of the mask", common("photo")))
    columns = [
        (title, [None if each is None else _sized(each, side) for each in pictures])
        for title, pictures in columns
        if any(each is not None for each in pictures)
    ]
    return draw_sheet(columns, rows=len(pairs), side=side), pairs


def _sized(picture: np.ndarray, side: int) -> np.ndarray:
    if picture.shape[0] == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST))


WIDEST_SHEET = 2400


@dataclass(frozen=True)
class Sheet:
    """A contact sheet and what it shows.

    Args:
        pairs: target and reference key of each row.
    """

    picture: Image.Image
    pairs: Sequence[tuple[str, str]]
    task: str


def render_page(
    table: Table,
    *,
    kind: str,
    records: Mapping[Path, RunRecord],
    sheet: Sheet | None,
    published: PublishedFigures | None,
    grid_text: str,
    commands: Sequence[tuple[str, str]],
    home: Path,
    edits: Sequence[Table] = (),
) -> str:
    """Return the page.

    Args:
        kind: what sort of page it is, e.g. ``facekit ablation``.
        sheet: the contact sheet; None where there are no pictures.
        published: figures of others; None for none.
        grid_text: the grid; empty where there is none.
        home: the folder that the page is written to; links to runs are relative to it.
    """
    grid = f"<details><summary>The grid</summary>{yaml(grid_text)}</details>" if grid_text else ""
    bodies = {
        "results": ("Results", section("results", "Results", _table(table), _protocols(table), _pairs(table))),
        "edits": ("Edits", section("edits", "Edits", *(_edits(each) for each in edits))),
        "published": ("As published", _published(published)),
        "pictures": ("Pictures", _pictures(sheet)),
        "curves": ("Curves", section("curves", "Curves", _curves(table, records))),
        "runs": ("Runs", section("runs", "Runs", _runs(table, home))),
        "grid": ("Grid", section("grid", "Grid", grid)),
        "commands": (
            "Commands",
            section("commands", "Commands", *(command(title, line) for title, line in commands)),
        ),
    }
    return page(
        title=table.name,
        kind=kind,
        lead=table.description,
        badges=_badges(table),
        messages=_messages(table),
        sections=bodies,
        footer=f"Written by facekit {__version__}. Interactive parts need no network.",
        wide=True,
    )


def quote(path: Path) -> str:
    """Return a path as it stands in a command."""
    return shlex.quote(str(path))


def _badges(table: Table) -> list[str]:
    trained = [system for system in table.systems if system.trained]
    runs = [run for system in table.systems for run in system.runs]
    done = sum(run.evaluation is not None for run in runs)
    failed = sum(bool(run.error) for run in runs)
    word = "failed" if failed else "finished" if done == len(runs) else "unfinished"
    badges = [f'<span class="badge {word}">{done} of {len(runs)} measured</span>']
    if failed:
        badges.append(f'<span class="badge failed">{failed} failed</span>')
    badges.append(
        f'<span class="badge">{len(trained)} trained rows, {len(table.systems) - len(trained)} baselines</span>'
    )
    steps = sorted({cost.steps for cost in table.costs.values() if cost.steps})
    if steps:
        badges.append(f'<span class="badge">{" and ".join(f"{step:,}" for step in steps)} steps</span>')
    fields = next(iter(table.fields.values()), None)
    if fields is not None:
        what = f"{fields.get('split', '?')} split, {fields.get('faces', '?')} faces, {fields.get('size', '?')} px"
        badges.append(f'<span class="badge">{text(what)}</span>')
    devices = sorted({device for cost in table.costs.values() for device in cost.devices})
    badges += [f'<span class="badge">{text(device)}</span>' for device in devices]
    return badges


def _messages(table: Table) -> str:
    parts = [
        f'<div class="message failed"><b>{text(_label(system, run.seed))} failed.</b> {text(run.error)}</div>'
        for system in table.systems
        for run in system.failed
    ]
    if len(table.fields) > 1:
        parts.append(
            f'<div class="message">The rows were measured under {len(table.fields)} protocols. Numbers with another id '
            "stand in columns of their own and are not compared.</div>"
        )
    return f'<div style="margin-top:22px">{"".join(parts)}</div>' if parts else ""


def _table(table: Table) -> str:
    heads = "".join(f"<th class=number>{_column_head(column)}</th>" for column in table.columns)
    rest = "".join(f"<th class=number>{text(name)}</th>" for name in ("seeds", *COST_HEADINGS))
    best = {column: table.best(column) for column in table.columns}
    rows = []
    for system in table.systems:
        is_reference = system.name == table.reference
        note = f"<small class=dim>{text(system.note)}</small>" if system.note else ""
        tag = "<small class=dim>others are tested against this row</small>" if is_reference else ""
        numbers = "".join(
            _number(table.entries.get((system.name, column)), best=system.name in best[column])
            for column in table.columns
        )
        spent = "".join(
            f"<td class=number>{text(value)}</td>" for value in (seeds_of(system), *costs(table.costs[system.name]))
        )
        kind = " class=reference" if is_reference else ""
        rows.append(f"<tr{kind}><th scope=row>{text(system.name)}{tag}{note}</th>{numbers}{spent}</tr>")
    notes = "".join(f"<li>{text(line)}</li>" for line in how_to_read(table))
    return (
        f'<div class="scroll comparison"><table><thead><tr><th></th>{heads}{rest}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div><ul class=note>{notes}</ul>"
    )


def _edits(table: Table) -> str:
    return f"<details open><summary>{text(table.name)}</summary>{_table(table)}{_protocols(table)}</details>"


def _column_head(column: Column) -> str:
    unit = f"<small>{text(column.unit)}</small> " if column.unit else ""
    id_ = f"<small>id <code>{text(column.id)}</code></small>" if column.other else ""
    return f"{text(spoken(column.name))} {unit}{ARROWS.get(column.better, '')}{id_}"


def _number(entry: Entry | None, *, best: bool) -> str:
    if entry is None:
        return f'<td class="number dim">{MISSING}</td>'
    value, deviation = with_spread(entry.mean, entry.deviation)
    spread = f"<span class=dim> ± {deviation}</span>" if deviation else ""
    mark = f' <span class="{entry.verdict}">{MARKS[entry.verdict]}</span>' if entry.verdict in MARKS else ""
    small = interval(entry)
    title = [f"seeds: {', '.join(number(value) for value in entry.values)}", f"n {entry.photos}"]
    if entry.p is not None and entry.difference is not None:
        title.append(
            f"difference {number(entry.difference)}, p {entry.p:.2g} after Holm (below {SIGNIFICANT:g} is marked)"
        )
    range_ = f"<small>{text(small)}</small>" if small else ""
    kind = "number best" if best else "number"
    return f'<td class="{kind}" title="{text("; ".join(title))}">{value}{spread}{mark}{range_}</td>'


def _protocols(table: Table) -> str:
    rows = []
    for column in table.columns:
        own = "; ".join(f"{key}: {value}" for key, value in column.protocol.items())
        rows.append((column.name, column.id, own))
    body = "".join(
        f"<tr><td>{text(name)}</td><td class=mono>{text(id_)}</td><td class=dim>{text(own)}</td></tr>"
        for name, id_, own in rows
    )
    said = {id_: ", ".join(f"{key} {value}" for key, value in fields.items()) for id_, fields in table.fields.items()}
    common = "".join(f"<p class=note><code>{text(id_)}</code>: {text(line)}</p>" for id_, line in said.items())
    return (
        "<details><summary>Protocol ids, and what they stand for</summary><div class=scroll><table><thead><tr>"
        "<th>Measurement</th><th>Id</th><th>Its own part</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>{common}</details>"
    )


def _pairs(table: Table) -> str:
    """Return the pairs of every protocol: rows under one protocol were measured on the same."""
    lists: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}
    for run in (run for system in table.systems for run in system.measured):
        assert run.evaluation is not None
        lists.setdefault(run.evaluation.protocol, {}).update(run.evaluation.pairs)
    return "".join(
        pair_lists(lists.get(protocol, {}), seed=fields.get("task_seed", ""))
        for protocol, fields in table.fields.items()
    )


def _published(published: PublishedFigures | None) -> str:
    if published is None:
        return ""
    rows = [
        [name, *(MISSING if value is None else f"{value:g}" for value in values)]
        for name, values in published.rows.items()
    ]
    table = numbers_table("", ("", *published.columns), rows)
    return section(
        "published",
        "As published",
        f"<p class=note>{text(published_sentence(published))}</p>",
        f"<div class=published>{table}</div>",
    )


def _pictures(sheet: Sheet | None) -> str:
    if sheet is None:
        return ""
    uri = data_uri(sheet.picture, widest=WIDEST_SHEET)
    pairs = ", ".join(f"{target} in the look of {reference}" for target, reference in sheet.pairs)
    rows = "each row is a test face; the mask is that of the photo on the right, the look that of the reference"
    if sheet.task == "generation":
        pairs = ", ".join(target for target, _ in sheet.pairs)
        rows = "each row is a sample whose noise follows from the name of a test face: the same for all systems"
    caption = f"{spoken(sheet.task)}: {rows}. Of several seeds the first is shown. Faces: {pairs}."
    figure = (
        f'<figure class=contact><img src="{uri}" alt="contact sheet"><figcaption>{text(caption)}</figcaption></figure>'
    )
    return section("pictures", "Pictures", f"<div class=scroll>{figure}</div>")


def _curves(table: Table, records: Mapping[Path, RunRecord]) -> str:
    """Return charts with one curve a row: what was measured while training, then the losses."""
    trained = [system for system in table.systems if system.trained and system.measured]
    charts: list[str] = []
    measured: dict[str, dict[str, Series]] = {}
    losses: dict[str, dict[str, Series]] = {}
    for system in trained:
        runs = [records[run.folder] for run in system.measured if run.folder in records]
        for name, curve in _mean_curves([_measured_while_training(run) for run in runs]).items():
            measured.setdefault(name, {})[system.name] = curve
        for name, curve in _mean_curves([run.series("losses") for run in runs]).items():
            losses.setdefault(name, {})[system.name] = curve
    note = "mean over the seeds"
    if len(trained) > COLOURS:
        note += f"; colours repeat after {COLOURS} rows"
    for name, curves in sorted(measured.items()):
        charts.append(line_chart(spoken(name), curves, note=f"on the validation split; {note}", smooth=False))
    for name, curves in sorted(losses.items(), reverse=True):
        player, _, label = name.partition("/")
        charts.append(line_chart(f"{player.capitalize()} · {label.replace('_', ' ') or 'loss'}", curves, note=note))
    return f'<div class="plots">{"".join(charts)}</div>' if any(charts) else ""


def _measured_while_training(record: RunRecord) -> dict[str, Series]:
    curves: dict[str, Series] = {}
    for event in record.of("evaluation"):
        if event.get("split") != "validation" or str(event.get("weights", "")).startswith(BASELINE_PREFIX):
            continue
        for entry in event.get("measurements") or ():
            value = entry.get("value")
            if isinstance(value, (int, float)) and entry.get("detail") is not True:
                curves.setdefault(str(entry["name"]), []).append((int(event.get("step") or 0), float(value)))
    return {name: points for name, points in curves.items() if len(points) > 1}


def _mean_curves(runs: Sequence[Mapping[str, Series]]) -> dict[str, Series]:
    """Return the mean of each curve over the runs, at the steps that all runs with the curve have."""
    found: dict[str, Series] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        curves = [dict(run[name]) for run in runs if name in run]
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        found[name] = [(step, mean([curve[step] for curve in curves])) for step in steps]
    return {name: points for name, points in found.items() if points}


def _runs(table: Table, home: Path) -> str:
    rows = []
    for system in table.systems:
        for run in system.runs:
            state = "failed" if run.error else "measured" if run.evaluation is not None else "not run"
            place = text(run.folder.name)
            if (run.folder / "report.html").is_file() and run.folder.is_relative_to(home):
                place = f'<a href="{text((run.folder / "report.html").relative_to(home).as_posix())}">{place}</a>'
            rows.append(
                f"<tr><td>{text(_label(system, run.seed))}</td><td>{state}</td><td class=mono>{place}</td></tr>"
            )
    return (
        "<details><summary>Every run, with its report</summary><div class=scroll><table><thead><tr><th>Run</th>"
        f"<th>State</th><th>Folder</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _label(system: System, seed: int | None) -> str:
    return system.name if seed is None else f"{system.name}, seed {seed}"
