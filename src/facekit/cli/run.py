"""``facekit run``: train what a recipe describes."""

from __future__ import annotations

from pathlib import Path

import click

from facekit.cli.output import note, print_notices
from facekit.cli.paths import FilePath
from facekit.cli.state import State, plugin_file_option, set_option


@click.command(short_help="Train what a recipe describes, measure it, write a report.")
@click.argument("recipe")
@set_option
@click.option("--out", type=FilePath(), help="The run folder; by default runs/NAME-1, runs/NAME-2 ...")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
@plugin_file_option
@click.pass_context
def run(context: click.Context, recipe: str, overrides: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Train what RECIPE describes, measure it on the test split, and write a report.

    RECIPE is a file, or the name of a shipped recipe (`facekit recipes ls`). The run folder holds the recipe with every
    default written out, metrics, samples, checkpoints and report.html. Ctrl-C saves a checkpoint; `facekit resume` goes
    on from it. Exits with 130 when interrupted, 2 for mistakes, 1 when the run could not go on.

    \b
    Example:
      facekit run sft_pix2pixhd --out runs/first
      facekit run recipes/sft_pix2pixhd.yaml --set data.use=celebamask_hq --set data.root=data/CelebAMask-HQ \\
        --set train.steps=1000
    """
    from facekit.recipe.library import find_recipe
    from facekit.training.run.reading import read_run_recipe

    state: State = context.obj
    registry = state.registry()
    path = find_recipe(recipe, registry=registry)
    resolved = read_run_recipe(path, registry=registry, overrides=overrides)

    # Imported after the recipe is read, so that a mistake in it is told at once: torch takes seconds to import.
    from facekit.cli.training import leads, next_run_folder, process_count, train_and_measure

    if out is None and process_count() > 1:
        raise click.UsageError("several processes train together: name their run folder with --out")
    folder = next_run_folder(resolved.name) if out is None else out
    if leads():
        print_notices(resolved.notices)
        note(f"results go to {folder}")
    command = ["facekit", "run", recipe]
    command += [part for override in overrides for part in ("--set", override)]
    command += ["--out", str(folder), *state.plugin_arguments()]
    code = train_and_measure(resolved, out=folder, registry=registry, command=command, resume=False, as_json=as_json)
    context.exit(code)
