"""Edit quality in a report: what named edits of the run show, a table a script, with some of the pictures."""

from __future__ import annotations

from dataclasses import asdict

from facekit.evaluation.edits import RUN, StoredEdits, StoredScript, newest_scripts
from facekit.evaluation.store import StoredEvaluation
from facekit.figures.html import spoken, text
from facekit.figures.page import data_uri
from facekit.interfaces import FacekitError
from facekit.report.results import THIS_RUN, Column, Table, rows_html
from facekit.training.run.folder import EDITS
from facekit.training.run.reading import RunRecord

WIDEST = 900
"""Pixels of the width of a sheet in the page."""

_MOST_PIXELS = 4_000_000


def edits_html(record: RunRecord) -> str:
    """Return what was measured last of each script on each split; an empty string where nothing was.

    What cannot be read is passed over and added to ``record.problems``.
    """
    found = newest_scripts(record.folder, record.problems)
    # The test split first, as the tables of results; scripts in their alphabet.
    places = sorted(found, key=lambda place: (place[0] != "test", *place))
    return "".join(_script(record, *found[place], folded=number > 0) for number, place in enumerate(places))


def _script(record: RunRecord, edits: StoredEdits, script: StoredScript, *, folded: bool) -> str:
    title = f"{spoken(script.name)}, {edits.split} split after step {edits.step:,}"
    if script.skipped:
        return f"<p class=note>{text(title)}: not measured: {text(script.skipped)}</p>"
    results = sorted(script.results.values(), key=lambda each: (each.system != RUN,))
    table = Table(edits.split, results[0].protocol, results[0].fields, tuple(map(_column, results)))
    names = list(dict.fromkeys(name for each in results for name in each.measurements))
    said = [f"Edited: {script.edited_by}.", f"Measured {edits.date} on {edits.data}, {edits.weights} weights."]
    said += [f"{note[:1].upper()}{note[1:]}." for note in script.notes]
    fields = ", ".join(f"{key} {value}" for key, value in table.fields.items())
    body = (
        f"{rows_html(table, names, '')}"
        f"<p class=note>{text(' '.join(said))} Brackets are 95% intervals over the photos. Protocol "
        f"<code>{text(table.protocol)}</code>; figures with other protocol ids are not comparable.</p>"
        f"<details class=how><summary>what the protocol stands for</summary>{text(fields)}</details>"
        f"{_sheet(record, script)}"
    )
    return f"<details{'' if folded else ' open'}><summary>{text(title)}</summary>{body}</details>"


def _column(result: StoredEvaluation) -> Column:
    # Real photos come out under the heading of their column in other tables, where they do not compete.
    heading = THIS_RUN if result.system == RUN else spoken(result.system)
    return Column(heading, result.step, {name: asdict(entry) for name, entry in result.measurements.items()})


def _sheet(record: RunRecord, script: StoredScript) -> str:
    from facekit.interfaces.image_files import read_image

    if script.sheet is None:
        return ""
    place = f"{EDITS}/{script.sheet.parent.name}/{script.sheet.name}"
    try:
        uri = data_uri(read_image(script.sheet, formats=("PNG",), most_pixels=_MOST_PIXELS), widest=WIDEST)
    except FacekitError as error:
        record.problems.append(f"{place} cannot be read: {error.message}")
        return ""
    except ValueError as error:  # of a side that the page's format has no room for
        record.problems.append(f"{place} cannot be shown: {error}")
        return ""
    caption = "The first photos, made small: before, after, and beside them the baseline and real photos of that kind."
    alt = text(f"edits by {script.name}")
    figure = f'<figure class=contact><img src="{uri}" alt="{alt}"><figcaption>{text(caption)}</figcaption></figure>'
    return f"<div class=scroll>{figure}</div>"
