"""Measuring a run and printing what was found: the run beside the baselines that need no training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from facekit.cli.output import note, plural, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.evaluation import EvaluationProgress, EvaluationResult
    from facekit.recipe.resolved import ResolvedRecipe
    from facekit.registry import Registry

MODEL = "model"


def measure_run(
    run: Path,
    *,
    registry: Registry,
    split: str = "test",
    weights: Literal["ema", "live"] = "ema",
    step: int | None = None,
    baselines: bool = True,
    batch: int = 8,
    limit: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    metrics_of: ResolvedRecipe | None = None,
    settings: Sequence[str] = (),
) -> tuple[EvaluationResult, ...]:
    """Measure a run under a progress bar on stderr, and write what was found into the run folder.

    Raises:
        FacekitError: as :func:`facekit.evaluation.evaluate_run` does.
    """
    from facekit.evaluation import evaluate_run

    with _painting() as painting:
        return evaluate_run(
            run,
            registry=registry,
            split=split,
            weights=weights,
            step=step,
            baselines=baselines,
            batch=batch,
            limit=limit,
            device=device,
            metrics_of=metrics_of,
            settings=settings,
            progress=painting,
        )


def print_measurements(results: Sequence[EvaluationResult], *, details: bool = False) -> None:
    """Print a table on stdout: a row a measurement, a column a system, and the protocol under it.

    Args:
        results: the run, then its baselines.
        details: also print the measurements that stand behind others.
    """
    first = results[0]
    found = [entry for result in results for entry in result.measurements]
    names = list(dict.fromkeys(entry.name for entry in found if details or not entry.detail))
    left_out = len({entry.name for entry in found} - {*names})
    columns = [_heading(result) for result in results]
    rows = []
    for name in names:
        entry = next(entry for result in results for entry in result.measurements if entry.name == name)
        unit = f" ({entry.unit})" if entry.unit else ""
        arrow = "↑" if entry.better == "higher" else "↓"
        rows.append((f"{name}{unit} {arrow}", *(_cell(result, name) for result in results)))
    click.echo(f"\n{first.split} split, step {first.step:,}; 95% intervals over the faces in brackets")
    print_table(("MEASUREMENT", *columns), rows, right=columns, figures=True)
    click.echo(f"protocol {first.protocol}")
    if left_out:
        how = "`facekit evaluate --details` prints them"
        click.echo(f"{plural(left_out, 'more row')} of single regions and classes: in the report; {how}")
    for result in results:
        for said in result.notes:
            note(f"{_heading(result)}: {said}" if result.system != MODEL else said)


def _heading(result: EvaluationResult) -> str:
    return f"{result.weights} weights" if result.system == MODEL else result.system.replace("_", " ")


def _cell(result: EvaluationResult, name: str) -> str:
    value = next((entry.value for entry in result.measurements if entry.name == name), None)
    if value is None or value != value:
        return "-"
    interval = result.intervals.get(name)
    spread = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
    return f"{value:.4g}{spread}"


@contextmanager
def _painting() -> Iterator[Callable[[EvaluationProgress], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("measuring {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: EvaluationProgress) -> None:
            if progress.system not in tasks:
                tasks[progress.system] = bars.add_task(progress.system.replace("_", " "), total=progress.total)
            bars.update(tasks[progress.system], completed=progress.done)

        yield show
