"""``report.html``: everything a run has to say, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.evaluation.store import BASELINE_PREFIX
from facekit.figures.charts import Series, line_chart
from facekit.figures.html import command, duration, facts, numbers_table, section, text, yaml
from facekit.figures.page import data_uri, page, write_page
from facekit.interfaces import FacekitError
from facekit.interfaces.events import GRADIENT_SHARE
from facekit.registry import ComponentRecord, name_of_use
from facekit.report.edits import edits_html
from facekit.report.results import course, measured_pairs, results_tables, table_html, tiles
from facekit.training.run.commands import (
    INPUTS,
    PLUGIN_FILES,
    generate_command,
    generate_in_python,
    resume_command,
    run_again_command,
)
from facekit.training.run.folder import RECIPE_HASH, REPORT
from facekit.training.run.metric_lines import LARGEST
from facekit.training.run.reading import RunRecord, read_run

_SECTIONS = {
    "results": "Results",
    "edits": "Edits",
    "samples": "Samples",
    "training": "Training",
    "model": "Model and speed",
    "recipe": "Recipe",
    "environment": "Environment",
    "commands": "Commands",
}


def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder, whatever state the run is in, and return its path.

    The page holds its pictures, style and script, makes no request of any kind, and may be moved anywhere.

    Args:
        run: a run folder: finished, stopped, failed or still going on.

    Raises:
        FacekitError: the folder is not there, or is not a run.
        RunFailure: the file cannot be written.
    """
    run = Path(run)
    target = run / REPORT
    write_page(target, render_report(read_run(run)), what="report")
    return target


def render_report(record: RunRecord) -> str:
    """Return the page for a run."""
    tables = results_tables(record)
    heading = "The resolved recipe, every default written out"
    recipe = f"<details><summary>{heading}</summary>{yaml(record.recipe_text)}</details>" if record.recipe_text else ""
    bodies = {
        "results": section(
            "results",
            _SECTIONS["results"],
            tiles(tables),
            *(
                table_html(table, pairs=measured_pairs(record, table), folded=index > 0)
                for index, table in enumerate(tables)
            ),
            "" if tables else "<p class=note>Nothing has been measured yet.</p>",
        ),
        "edits": section("edits", _SECTIONS["edits"], edits_html(record)),
        "samples": f'<div class="samples">{section("samples", _SECTIONS["samples"], samples_html(record))}</div>',
        "training": section("training", _SECTIONS["training"], _training(record)),
        "model": section("model", _SECTIONS["model"], _model(record)),
        "recipe": section("recipe", _SECTIONS["recipe"], recipe),
        "environment": section("environment", _SECTIONS["environment"], _environment(record)),
        "commands": section("commands", _SECTIONS["commands"], _commands(record)),
    }
    return page(
        title=record.name,
        kind="facekit run",
        lead=_words(record.recipe, "description"),
        badges=_badges(record),
        # After the sections, because reading the samples may find further problems.
        messages=_messages(record),
        sections={anchor: (_SECTIONS[anchor], body) for anchor, body in bodies.items()},
        footer=f"Written by facekit {record.lock.get('facekit', '')}. Interactive parts need no network.",
    )


def _badges(record: RunRecord) -> list[str]:
    outcome = record.outcome()
    of = f" of {record.steps:,}" if record.steps else ""
    badges = [f'<span class="badge {outcome.word}">{outcome.word}</span>']
    badges.append(f'<span class="badge">step {outcome.step:,}{of}</span>')
    measured = {str(event.get("weights") or "") for event in record.of("evaluation")}
    weights = sorted(name for name in measured if name and not name.startswith(BASELINE_PREFIX))
    if weights:
        names = " and ".join(name.upper() if name == "ema" else name for name in weights)
        badges.append(f'<span class="badge">measured with {text(names)} weights</span>')
    seconds = record.wall_seconds() or training_seconds(record)
    if seconds:
        badges.append(f'<span class="badge">trained in {text(duration(seconds))}</span>')
    data = record.recipe.get("data")
    if isinstance(data, Mapping):
        dataset, size = name_of_use(_words(data, "use")), data.get("size")
        side = size if isinstance(size, int) and size < LARGEST else "?"
        badges.append(f'<span class="badge">{text(dataset)}, {text(side)} px</span>')
    return badges


def _words(document: Mapping[str, Any], key: str) -> str:
    """Return a text of a recipe; nothing where it is no text, since a recipe of a broken run may hold anything."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _messages(record: RunRecord) -> str:
    outcome = record.outcome()
    goes_on = f"<code>{text(resume_command(record.folder, record.lock))}</code> goes on with it."
    parts = []
    if outcome.word == "failed":
        parts.append(f'<div class="message failed"><b>The run failed.</b> {text(outcome.message)}</div>')
    elif outcome.word == "unfinished":
        parts.append(
            '<div class="message">The run did not end by itself: it is still going on, or it was stopped. '
            f"{goes_on}</div>"
        )
    elif outcome.word == "interrupted":
        parts.append(f'<div class="message">The run was interrupted. {goes_on}</div>')
    parts += [
        f'<div class="message"><b>Step {text(event.get("step", "?"))}:</b> {text(event.get("message", ""))}</div>'
        for event in record.of("warning")
    ]
    parts += [f'<div class="message">{text(problem)}</div>' for problem in record.problems]
    return f'<div style="margin-top:22px">{"".join(parts)}</div>' if parts else ""


def _training(record: RunRecord) -> str:
    losses = record.series("losses")
    charts = []
    for player in sorted({name.partition("/")[0] for name in losses}, reverse=True):
        curves = {name.partition("/")[2] or name: points for name, points in losses.items() if name.startswith(player)}
        charts.append(line_chart(f"{player.capitalize()} losses", curves, note="weighted, as they are optimised"))
    diagnostics = record.series("diagnostics")
    followed = diagnostics.pop("changes_with_reference", None)
    if followed:
        charts.append(
            line_chart(
                "Changes with reference",
                {"mean absolute change": followed},
                note="how much the result changes when the reference does (pictures range over 2); "
                "at zero the model has stopped looking at it",
                smooth=False,
            )
        )
    charts += _share_charts(diagnostics)
    charts.append(course(record))
    charts += [
        line_chart(name.replace("_", " ").replace("/", " · ").capitalize(), {name: points})
        for name, points in diagnostics.items()
    ]
    charts.append(line_chart("Learning rates", record.series("learning_rates"), smooth=False))
    charts.append(line_chart("Seconds per step", {"seconds": record.speed()}))
    body = "".join(charts)
    return f'<div class="plots">{body}</div>' if body else ""


def _share_charts(diagnostics: dict[str, Series]) -> list[str]:
    """Return the charts of shares in gradients, one a player, and take these out of the diagnostics."""
    shares: dict[str, dict[str, Series]] = {}
    for name in [name for name in diagnostics if name.startswith(GRADIENT_SHARE)]:
        player, _, loss = name.removeprefix(GRADIENT_SHARE).partition("/")
        shares.setdefault(player, {})[loss] = diagnostics.pop(name)
    return [
        line_chart(
            f"{player.capitalize()} losses in the gradient",
            curves,
            note="share of each in the gradient at the last layer: who decides what is learnt",
            smooth=False,
        )
        for player, curves in sorted(shares.items(), reverse=True)
    ]


def training_seconds(record: RunRecord) -> float:
    """Return the seconds spent in the steps that were logged; checkpoints, samples and evaluation come on top."""
    total, before = 0.0, 0
    for step, seconds in record.speed():
        total += seconds * (step - before)
        before = step
    return total


def _model(record: RunRecord) -> str:
    counts = record.parameters
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in counts.items()]
    if len(rows) > 1:
        rows.append(("together", f"{sum(counts.values()):,}"))
    speeds = sorted(seconds for _, seconds in record.speed())
    timing: dict[str, object] = {}
    if speeds:
        middle = speeds[len(speeds) // 2]
        photos = record.batch
        timing = {
            "steps a second": f"{1 / middle:.3g} (median)" if middle else None,
            "photos a second": f"{photos / middle:.3g}" if middle and photos else None,
            "time in steps": duration(training_seconds(record)),
            "time in all": duration(record.wall_seconds()) if record.wall_seconds() else None,
        }
    dimensions = record.lock.get("dimensions")
    columns = (
        numbers_table("Parameters", ("part", "parameters"), rows),
        facts("Speed", timing),
        facts("Dimensions settled by the ports", dimensions) if isinstance(dimensions, Mapping) else "",
    )
    return f'<div class="columns">{"".join(columns)}</div>' if any(columns) else ""


def _environment(record: RunRecord) -> str:
    lock = record.lock
    plugins, libraries = lock.get("plugins"), lock.get("libraries")
    known = (
        "plugins",
        "components",
        PLUGIN_FILES,
        INPUTS,
        "libraries",
        "parameters",
        "dimensions",
        "command",
        RECIPE_HASH,
    )
    rest = {name.replace("_", " "): _plain(value) for name, value in lock.items() if name not in known}
    found = lock.get("components")
    read = {str(place): ComponentRecord.read(one) for place, one in found.items()} if isinstance(found, Mapping) else {}
    components: dict[str, object] = {
        place: f"{one.id}, of {one.distribution} {one.distribution_version}".strip()
        for place, one in read.items()
        if one is not None
    }
    columns = (
        facts("Where it ran", rest),
        facts("Plugins", plugins) if isinstance(plugins, Mapping) else "",
        facts("Components", components),
        facts("What plugins need", libraries) if isinstance(libraries, Mapping) and libraries else "",
    )
    return f'<div class="columns">{"".join(columns)}</div>' if any(columns) else ""


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else value


def _commands(record: RunRecord) -> str:
    run, lock = record.folder, record.lock
    asked = lock.get("command")
    parts = [command("As it was started", str(asked))] if asked else []
    parts.append(command("The same run again, from its locked recipe", run_again_command(run, lock)))
    if record.outcome().word != "finished":
        parts.append(command("Go on with it", resume_command(run, lock)))
    example, program = generate_command(run, lock), generate_in_python(run, lock)
    if example is not None:
        parts.append(command("Generate a picture with it", example))
    if program is not None:
        parts.append(command("The same in Python", program))
    return "".join(parts)


NOISE = "noise"
"""The only input of a run that makes images from noise alone."""

_WORDS = {"mask": "mask", "reference": "reference", "source": "photo that is changed"}
"""What a result is made from, for people."""

MOST_FRAMES = 24
WIDEST = 1200
"""Grids wider than this many pixels are shrunk; the files in ``samples/`` keep their size."""


MOST_PIXELS = 178_000_000
"""Pixels of the largest grid: the run wrote it, and Pillow refuses more."""


def samples_html(record: RunRecord) -> str:
    """Return the grids as pictures inside the page; an empty string where there are none.

    A picture that cannot be read is left out and added to ``record.problems``.
    """
    frames = []
    shown = record.samples
    if len(shown) > MOST_FRAMES:  # evenly spread, the first and the last among them
        shown = [shown[round(index * (len(shown) - 1) / (MOST_FRAMES - 1))] for index in range(MOST_FRAMES)]
    for step, path in shown:
        try:
            frames.append((step, _data_uri(path)))
        except FacekitError as error:
            record.problems.append(f"samples/{path.name} cannot be read: {error.message}")
        except ValueError as error:  # of a side that the page's format has no room for
            record.problems.append(f"samples/{path.name} cannot be shown: {error}")
    if not frames:
        return ""
    pictures = "".join(
        f'<img src="{uri}" alt="sample grid at step {step}" data-step="{step}"{"" if last else " hidden"}>'
        for step, uri, last in ((step, uri, index == len(frames) - 1) for index, (step, uri) in enumerate(frames))
    )
    if len(frames) == 1:
        return f"<figure>{pictures}<figcaption>{_caption(record)}</figcaption></figure>"
    control = (
        '<div class="slider"><label for="step-slider">Over time</label>'
        f'<input id="step-slider" type="range" min="0" max="{len(frames) - 1}" value="{len(frames) - 1}">'
        f"<output>step {frames[-1][0]:,}</output></div>"
    )
    return (
        f'<div class="timeline">{control}<figure>{pictures}<figcaption>{_caption(record)}</figcaption></figure></div>'
    )


def _caption(record: RunRecord) -> str:
    total = len(record.samples)
    left_out = f" {MOST_FRAMES} of {total} grids are shown." if total > MOST_FRAMES else ""
    return text(f"{_rows(record)} The heading of each column says what it shows.{left_out} The files are in samples/.")


def _rows(record: RunRecord) -> str:
    """Return what the rows of a grid are, by what the run's lock says that the model reads."""
    reads = record.lock.get(INPUTS)
    if reads == [NOISE]:
        return "Each row starts from the same noise each time, and shows results of other noise beside it."
    row = "Each row belongs to one face of the validation split, the same faces each time"
    given = [name for name in _WORDS if isinstance(reads, list) and name in reads]
    if not given:
        return f"{row}."
    words = [_WORDS[name] for name in given]
    read = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    further = ""
    if "reference" in given:
        further = ", then in the look of another face"
    elif {"attribute", "attributes"} & set(reads or ()):
        further = ", then with each attribute turned to its opposite"
    return f"{row}. The result is made from the {read}{further}."


def _data_uri(path: Path) -> str:
    from facekit.interfaces.image_files import read_image

    return data_uri(read_image(path, formats=("PNG",), most_pixels=MOST_PIXELS), widest=WIDEST)
