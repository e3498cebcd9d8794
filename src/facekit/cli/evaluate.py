"""``facekit evaluate``: measure a run on one of its splits, beside the baselines that need no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.output import note, plural, print_json, print_table
from facekit.cli.progress_bar import stage_progress
from facekit.cli.state import FilePath, State, plugin_file_option

if TYPE_CHECKING:
    from facekit.evaluation import EvaluationProgress, EvaluationResult
    from facekit.interfaces import Measurement

MODEL = "model"


@click.command(short_help="Measure a run on one of its splits.")
@click.argument("run", type=FilePath())
@click.option("--split", default="test", show_default=True, help="train, validation, test or extra.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--step", type=click.IntRange(min=0), help="A certain checkpoint; by default the newest.")
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Measure what needs no training too.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first faces of the split.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Faces generated at a time.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where.")
@click.option(
    "--metrics-of", type=FilePath(), metavar="RECIPE", help="Measure with the metrics of this recipe in place of RUN's."
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME.OPTION=VALUE", help="A runtime option: sampler.steps=50."
)
@click.option("--details", is_flag=True, help="Print those of single regions and classes too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def evaluate(state: State, run: Path, metrics_of: Path | None, details: bool, as_json: bool, **settings: Any) -> None:
    """Measure RUN with the metrics of its recipe, or of another one, beside baselines that need no training.

    Every figure carries a protocol id; only figures with the same id can be compared. What is found is written into the
    run's metrics.jsonl and its report.

    \b
    Example:
      facekit evaluate runs/first
      facekit evaluate runs/first --split validation --weights live --json
      facekit evaluate runs/first --metrics-of identity.yaml
    """
    from facekit.evaluation import evaluate_run
    from facekit.recipe import read_recipe
    from facekit.report import write_report

    registry = state.registry()
    with evaluation_progress() as progress:
        recipe = None if metrics_of is None else read_recipe(metrics_of, registry=registry)
        results = evaluate_run(run, registry=registry, metrics_of=recipe, progress=progress, **settings)
    write_report(run, registry=registry)
    if as_json:
        print_json([result.document() for result in results])
    else:
        print_measurements(results, details=details)


@contextmanager
def evaluation_progress() -> Iterator[Callable[[EvaluationProgress], None]]:
    """Give a callback that shows on stderr how far an evaluation is."""
    with stage_progress() as show:
        yield lambda at: show(f"measuring {at.system.replace('_', ' ')}", at.done, at.total)


def print_measurements(results: Sequence[EvaluationResult], *, details: bool = False) -> None:
    """Print a table on stdout: a row a measurement, a column a system, and the protocol under it.

    Args:
        results: the run, then its baselines.
        details: also print the measurements that stand behind others.
    """
    first = results[0]
    found: dict[str, Measurement] = {}
    for entry in (entry for result in results for entry in result.measurements):
        found.setdefault(entry.name, entry)
    names = [name for name, entry in found.items() if details or not entry.detail]
    columns = [_heading(result) for result in results]
    rows = []
    for name in names:
        unit = f" ({found[name].unit})" if found[name].unit else ""
        arrow = "↑" if found[name].better == "higher" else "↓"
        rows.append((f"{name}{unit} {arrow}", *(_cell(result, name) for result in results)))
    click.echo(f"\n{first.split} split, step {first.step:,}; 95% intervals over the faces in brackets")
    print_table(("MEASUREMENT", *columns), rows, right=columns, figures=True)
    click.echo(f"protocol {first.protocol}")
    if left_out := len(found) - len(names):
        how = "`facekit evaluate --details` prints them"
        click.echo(f"{plural(left_out, 'more row')} of single regions and classes: in the report; {how}")
    for result in results:
        for text in result.notes:
            note(f"{_heading(result)}: {text}" if result.system != MODEL else text)


def _heading(result: EvaluationResult) -> str:
    return f"{result.weights} weights" if result.system == MODEL else result.system.replace("_", " ")


def _cell(result: EvaluationResult, name: str) -> str:
    value = next((entry.value for entry in result.measurements if entry.name == name), None)
    if value is None or value != value:
        return "-"
    interval = result.intervals.get(name)
    return f"{value:.4g}" + (f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else "")
