"""``facekit resume``: go on with a run."""

from __future__ import annotations

from pathlib import Path

import click

from facekit.cli.output import print_notices
from facekit.cli.paths import FilePath
from facekit.cli.state import State, plugin_file_option


@click.command(short_help="Go on with a run that was stopped.")
@click.argument("run", type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
@plugin_file_option
@click.pass_context
def resume(context: click.Context, run: Path, as_json: bool) -> None:
    """Go on with RUN from its newest sound checkpoint, then measure it and write its report.

    The result is the same, bit for bit, as if the run had never stopped. The recipe is the one locked in the
    run folder. A run that was finished is measured and reported again.

    \b
    Example:
      facekit resume runs/first
    """
    from facekit.interfaces import FacekitError
    from facekit.training.run.folder import RunFolder
    from facekit.training.run.reading import read_run_recipe

    state: State = context.obj
    registry = state.registry()
    folder = RunFolder(run)
    if not folder.holds_a_run:
        raise FacekitError(
            "this is not a run folder: it has no recipe.yaml",
            where=str(run),
            remedy="give the folder that `facekit run` printed",
        )
    recipe = read_run_recipe(folder.recipe, registry=registry)

    from facekit.cli.training import leads, train_and_measure

    if leads():
        print_notices(recipe.notices)
    command = ["facekit", "resume", str(run), *state.plugin_arguments()]
    code = train_and_measure(recipe, out=run, registry=registry, command=command, resume=True, as_json=as_json)
    context.exit(code)
