"""``facekit evaluate``: measure a run on one of its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from facekit.cli.output import print_json
from facekit.cli.paths import FilePath
from facekit.cli.state import State, plugin_file_option


@click.command(short_help="Measure a run on one of its splits.")
@click.argument("run", type=FilePath())
@click.option("--split", default="test", show_default=True, help="train, validation, test or extra.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--step", type=click.IntRange(min=0), help="A certain checkpoint; by default the newest.")
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Measure what needs no training too.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first faces of the split.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Faces painted at a time.")
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
def evaluate(
    state: State,
    run: Path,
    split: str,
    weights: Literal["ema", "live"],
    step: int | None,
    baselines: bool,
    limit: int | None,
    batch: int,
    device: Literal["auto", "cpu", "cuda"],
    metrics_of: Path | None,
    settings: tuple[str, ...],
    details: bool,
    as_json: bool,
) -> None:
    """Measure RUN with the metrics of its recipe, or of another one, beside baselines that need no training.

    Every figure carries a protocol id; only figures with the same id can be compared. What is found is written into the
    run's metrics.jsonl and its report.

    \b
    Example:
      facekit evaluate runs/first
      facekit evaluate runs/first --split validation --weights live --json
      facekit evaluate runs/first --metrics-of identity.yaml
    """
    from facekit.cli.evaluation_settings import measure_run, print_measurements
    from facekit.recipe import read_recipe
    from facekit.report import write_report

    registry = state.registry()
    results = measure_run(
        run,
        registry=registry,
        split=split,
        weights=weights,
        step=step,
        baselines=baselines,
        batch=batch,
        limit=limit,
        device=device,
        metrics_of=None if metrics_of is None else read_recipe(metrics_of, registry=registry),
        settings=settings,
    )
    write_report(run)
    if as_json:
        print_json([result.document() for result in results])
    else:
        print_measurements(results, details=details)
