"""``facekit validate``: validation, stage by stage."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.output import hanging, page_width, plural, print_json, print_notices
from facekit.cli.progress_bar import data_progress
from facekit.cli.state import State, plugin_file_option, set_option
from facekit.interfaces import SAMPLER
from facekit.interfaces.errors import spoken_bytes

if TYPE_CHECKING:
    from facekit.recipe import ResolvedRecipe
    from facekit.training.check.dry_run import StepProbe
    from facekit.training.check.shape_check import ShapeProbe

REAL_STEPS = 2
"""Steps of the last stage when it is asked for without a number."""


@click.command(short_help="Check a recipe, up to a few real steps.")
@click.argument("recipe")
@set_option
@click.option("--ports-only", is_flag=True, help="Stop after schema and ports; imports no torch.")
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    is_flag=False,
    flag_value=REAL_STEPS,
    default=0,
    help=f"Train this many real steps as well ({REAL_STEPS} when no number is given); needs the data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def validate(
    state: State, recipe: str, overrides: tuple[str, ...], ports_only: bool, steps: int, as_json: bool
) -> None:
    """Check RECIPE stage by stage; the first mistake stops it, with exit code 2.

    \b
    1. schema  every key and value, with file, line and column
    2. ports   whether the components fit together, sizes and classes included
    3. shapes  the networks are built, and one step runs forward and backward on
               tensors without numbers; tells parameters, operations and memory
    4. steps   with --steps: real steps on a few real faces

    \b
    Example:
      facekit validate sft_pix2pixhd
      facekit validate my.yaml --set data.size=256 --steps 2
    """
    from facekit.interfaces import FacekitError
    from facekit.recipe.library import find_recipe
    from facekit.training.run.reading import read_run_recipe

    if ports_only and steps:
        raise FacekitError("--ports-only stops before the steps", where="--steps", remedy="give one of the two")
    registry = state.registry()
    resolved = read_run_recipe(find_recipe(recipe, registry=registry), registry=registry, overrides=overrides)
    print_notices(resolved.notices)
    if not as_json:
        dimensions = ", ".join(f"{name} {size:,}" for name, size in resolved.dimensions.items())
        _print_stage("schema", f"{resolved.name}: every key and value is sound")
        _print_stage("ports", f"the components fit together ({dimensions})")
    shapes = real = None
    if not ports_only:
        from facekit.evaluation import check_metrics
        from facekit.training.check.shape_check import probe_shapes

        check_metrics(resolved, registry=registry, needs_data=False)
        shapes = probe_shapes(resolved, registry=registry)
        if not as_json:
            _print_shapes(resolved, shapes)
    if steps:
        from facekit.training.check.dry_run import probe_steps

        with data_progress("preparing a few faces") as progress:
            real = probe_steps(resolved, registry=registry, steps=steps, progress=progress)
        if not as_json:
            _print_steps(real)
    if as_json:
        print_json(_document(resolved, shapes, real))


def _print_stage(name: str, text: str) -> None:
    click.echo(f"{click.style('ok', fg='green', bold=True)}  {name.ljust(7)} {text}")


def _print_fact(label: str, text: str) -> None:
    for line in hanging(f"    {label.ljust(10)}  ", text, page_width()):
        click.echo(line)


def _turns(recipe: ResolvedRecipe) -> dict[str, list[str]]:
    """Return the networks that each player trains, in the order of their turns."""
    from facekit.recipe import networks_of

    # A sampler has no weights, but for one that is a module; it would be trained here too.
    return {
        player: [name for name in networks_of(player, recipe.players, recipe.model) if name != SAMPLER]
        for player in recipe.players
    }


def _print_shapes(recipe: ResolvedRecipe, shapes: ShapeProbe) -> None:
    how = "" if shapes.on_fake_tensors else " (with numbers: a component looks at them)"
    _print_stage("shapes", f"one step runs forward and backward{how}")
    parts = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in shapes.parameters.items())
    _print_fact("parameters", f"{sum(shapes.parameters.values()):,} ({parts})")
    turns = [f"{player} trains {' and '.join(networks)}" for player, networks in _turns(recipe).items()]
    _print_fact("turns", ", then ".join(turns).replace("_", " "))
    _print_fact("operations", f"{_si(shapes.step_flops)}FLOP a step, {_si(shapes.picture_flops)}FLOP a picture")
    memory = shapes.memory
    named = {
        "weights": memory.parameters,
        "gradients": memory.gradients,
        "optimiser": memory.optimiser,
        "average": memory.average,
        f"activations at batch {recipe.train.batch}": memory.activations,
        "checkpoint": memory.checkpoint,
        "workspace": memory.workspace,
        "the program itself": memory.process,
    }
    shares = ", ".join(f"{name} {spoken_bytes(size)}" for name, size in named.items() if size)
    _print_fact("memory", f"about {spoken_bytes(memory.total)} ({shares})")


def _print_steps(real: StepProbe) -> None:
    _print_stage("steps", f"{plural(real.steps, 'real step')}, {real.seconds_per_step:.2f} s for the last one")
    _print_fact("losses", ", ".join(f"{name} {value:.4g}" for name, value in real.losses.items()))
    for warning in real.warnings:
        click.echo(f"    {click.style('warning', fg='yellow')}  {warning}")


def _document(recipe: ResolvedRecipe, shapes: ShapeProbe | None, real: StepProbe | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "recipe": recipe.name,
        "dimensions": dict(recipe.dimensions),
        "stages": ["schema", "ports", *(["shapes"] if shapes else []), *(["steps"] if real else [])],
        "notices": [str(notice) for notice in recipe.notices],
    }
    if shapes is not None:
        document["shapes"] = {
            "parameters": dict(shapes.parameters),
            "turns": _turns(recipe),
            "step_flops": shapes.step_flops,
            "picture_flops": shapes.picture_flops,
            "memory_bytes": {**asdict(shapes.memory), "total": shapes.memory.total},
            "on_fake_tensors": shapes.on_fake_tensors,
        }
    return {**document, "steps": asdict(real)} if real is not None else document


def _si(value: float) -> str:
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} P"
