"""``report.html``: everything a run has to say, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.evaluation.store import BASELINE_PREFIX
from facekit.figures.page import duration, png_uri, render, write_page
from facekit.interfaces.events import GRADIENT_SHARE
from facekit.registry import ComponentRecord, Registry, load_registry, name_of_use
from facekit.report.results import course, further_sections, measured_pairs, results_tables, tiles
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

MOST_FRAMES = 24
WIDEST = 1200
"""Grids wider than this many pixels are shrunk; the files in ``samples/`` keep their size."""
MOST_PIXELS = 178_000_000
"""Pixels of the largest grid: the run wrote it, and Pillow refuses more."""


def write_report(run: Path, *, registry: Registry | None = None) -> Path:
    """Write ``report.html`` into a run folder, whatever state the run is in, and return its path.

    The page holds its pictures, style and script, makes no request of any kind, and may be moved anywhere.

    Args:
        run: a run folder: finished, stopped, failed or still going on.
        registry: the plugins that have something to add; by default those that are installed.

    Raises:
        FacekitError: the folder is not there, or is not a run.
        RunFailure: the file cannot be written.
    """
    run = Path(run)
    record = read_run(run)
    tables = results_tables(record)
    data = record.recipe.get("data")
    measured = {str(event.get("weights") or "") for event in record.of("evaluation")}
    weights = {name for name in measured if not name.startswith(BASELINE_PREFIX)}
    text = render(
        "report/report.html",
        title=record.name,
        kind="facekit run",
        lead=_words(record.recipe, "description"),
        seconds=record.wall_seconds() or _training_seconds(record),
        weights=[name.upper() if name == "ema" else name for name in sorted(weights) if name],
        data=(name_of_use(_words(data, "use")), data.get("size")) if isinstance(data, Mapping) else None,
        version=record.lock.get("facekit", ""),
        wide=False,
        record=record,
        outcome=record.outcome(),
        tiles=tiles(tables),
        tables=[(table, measured_pairs(record, table)) for table in tables],
        further=further_sections((registry or load_registry()).further_results(run), record.problems),
        frames=_frames(record),
        most_frames=MOST_FRAMES,
        largest=LARGEST,
        reads=record.lock.get(INPUTS),
        charts=_charts(record),
        model=_model(record),
        environment=_environment(record),
        commands={
            "started": str(record.lock.get("command") or ""),
            "again": run_again_command(run, record.lock),
            "resume": resume_command(run, record.lock),
            "generate": generate_command(run, record.lock),
            "python": generate_in_python(run, record.lock),
        },
    )
    write_page(run / REPORT, text, what="report")
    return run / REPORT


def _words(document: Mapping[str, Any], key: str) -> str:
    """Return a text of a recipe; nothing where it is no text, since a recipe of a broken run may hold anything."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _charts(record: RunRecord) -> list[dict[str, Any]]:
    """Return the charts of the training, as ``line_chart`` of the templates takes them."""
    losses = record.series("losses")
    charts: list[dict[str, Any]] = []
    for player in sorted({name.partition("/")[0] for name in losses}, reverse=True):
        curves = {name.partition("/")[2] or name: points for name, points in losses.items() if name.startswith(player)}
        charts.append(
            {"title": f"{player.capitalize()} losses", "curves": curves, "note": "weighted, as they are optimised"}
        )
    diagnostics = record.series("diagnostics")
    followed = diagnostics.pop("changes_with_reference", [])
    charts.append(
        {
            "title": "Changes with reference",
            "curves": {"mean absolute change": followed},
            "note": "how much the result changes when the reference does (pictures range over 2); "
            "at zero the model has stopped looking at it",
            "smooth": False,
        }
    )
    shares: dict[str, dict[str, Any]] = {}
    for name in [name for name in diagnostics if name.startswith(GRADIENT_SHARE)]:
        player, _, loss = name.removeprefix(GRADIENT_SHARE).partition("/")
        shares.setdefault(player, {})[loss] = diagnostics.pop(name)
    charts += [
        {
            "title": f"{player.capitalize()} losses in the gradient",
            "curves": curves,
            "note": "share of each in the gradient at the last layer: who decides what is learnt",
            "smooth": False,
        }
        for player, curves in sorted(shares.items(), reverse=True)
    ]
    charts += course(record)
    charts += [
        {"title": name.replace("_", " ").replace("/", " · ").capitalize(), "curves": {name: points}}
        for name, points in diagnostics.items()
    ]
    charts.append({"title": "Learning rates", "curves": record.series("learning_rates"), "smooth": False})
    charts.append({"title": "Seconds per step", "curves": {"seconds": record.speed()}})
    return [chart for chart in charts if any(chart["curves"].values())]


def _training_seconds(record: RunRecord) -> float:
    """Return the seconds spent in the steps that were logged; checkpoints, samples and evaluation come on top."""
    total, before = 0.0, 0
    for step, seconds in record.speed():
        total += seconds * (step - before)
        before = step
    return total


def _model(record: RunRecord) -> dict[str, Any]:
    counts = record.parameters
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in counts.items()]
    if len(rows) > 1:
        rows.append(("together", f"{sum(counts.values()):,}"))
    speeds = sorted(seconds for _, seconds in record.speed())
    timing: dict[str, object] = {}
    if speeds:
        middle, photos = speeds[len(speeds) // 2], record.batch
        timing = {
            "steps a second": f"{1 / middle:.3g} (median)" if middle else None,
            "photos a second": f"{photos / middle:.3g}" if middle and photos else None,
            "time in steps": duration(_training_seconds(record)),
            "time in all": duration(record.wall_seconds()) if record.wall_seconds() else None,
        }
    dimensions = record.lock.get("dimensions")
    return {"parameters": rows, "timing": timing, "dimensions": dimensions if isinstance(dimensions, Mapping) else {}}


def _environment(record: RunRecord) -> dict[str, Mapping[str, object]]:
    """Return what the lock says of where the run was made: tables by heading."""
    lock = record.lock
    maps = {
        name: found for name in ("plugins", "components", "libraries") if isinstance(found := lock.get(name), Mapping)
    }
    read = {str(place): ComponentRecord.read(one) for place, one in maps.get("components", {}).items()}
    shown = {
        *("plugins", "components", "libraries", "parameters", "dimensions", "command"),
        PLUGIN_FILES,
        INPUTS,
        RECIPE_HASH,
    }

    def plain(value: Any) -> object:
        if isinstance(value, Mapping):
            return ", ".join(f"{name} {entry}" for name, entry in value.items())
        return ", ".join(str(entry) for entry in value) if isinstance(value, list) else value

    return {
        "Where it ran": {name.replace("_", " "): plain(value) for name, value in lock.items() if name not in shown},
        "Plugins": maps.get("plugins", {}),
        "Components": {
            place: f"{one.id}, of {one.distribution} {one.distribution_version}".strip()
            for place, one in read.items()
            if one is not None
        },
        "What plugins need": maps.get("libraries", {}),
    }


def _frames(record: RunRecord) -> list[tuple[int, str]]:
    """Return the sample grids: steps and pictures; those that cannot be read are added to ``record.problems``."""
    shown = record.samples
    if len(shown) > MOST_FRAMES:  # evenly spread, the first and the last among them
        shown = [shown[round(index * (len(shown) - 1) / (MOST_FRAMES - 1))] for index in range(MOST_FRAMES)]
    frames = [(step, png_uri(path, record.problems, widest=WIDEST, most_pixels=MOST_PIXELS)) for step, path in shown]
    return [(step, uri) for step, uri in frames if uri is not None]
