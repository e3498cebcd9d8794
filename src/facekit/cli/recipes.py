"""``facekit recipes``: the recipes that need not be written, what they resolve to, and where each value comes from."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from facekit.cli.output import GAP, note, print_json, print_notices, print_table
from facekit.cli.state import FilePath, State, plugin_file_option, set_option


@click.group(short_help="List, show and copy recipes.")
def recipes() -> None:
    """List, show and copy recipes.

    \b
    Example:
      facekit recipes ls
      facekit recipes show sft_pix2pixhd --origin
      facekit recipes cp sft_pix2pixhd mine.yaml
    """


@recipes.command(name="ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def list_recipes(state: State, as_json: bool) -> None:
    """List the recipes that come with facekit and with plugins.

    \b
    Example:
      facekit recipes ls
    """
    from facekit.recipe.library import shipped_recipes

    rows = [
        {
            "name": recipe.name,
            "path": str(recipe.path),
            "source": recipe.source,
            "description": recipe.description,
            "command": "ablate" if recipe.is_grid else "run",
        }
        for recipe in shipped_recipes(state.registry())
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("name", "source", "command", "description")
    cells = [[row[column] for column in columns] for row in rows]
    print_table(("RECIPE", "FROM", "COMMAND", "DESCRIPTION"), cells)


@recipes.command()
@click.argument("recipe")
@set_option
@click.option("--origin", is_flag=True, help="Say where each value was set.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def show(state: State, recipe: str, overrides: tuple[str, ...], origin: bool, as_json: bool) -> None:
    """Show what a recipe resolves to, every default written out.

    RECIPE is a file, or the name of a shipped recipe.

    \b
    Example:
      facekit recipes show sft_pix2pixhd
      facekit recipes show sft_pix2pixhd --origin --set train.batch=4
    """
    from facekit.recipe import dump_recipe
    from facekit.recipe.library import find_recipe
    from facekit.recipe.reading import recipe_origins

    registry = state.registry()
    path = find_recipe(recipe, registry=registry)
    resolved, origins = recipe_origins(path, registry=registry, overrides=overrides)
    print_notices(resolved.notices)
    if as_json and origin:
        print_json([{"path": entry.path, "value": entry.value, "source": entry.source} for entry in origins])
    elif as_json:
        print_json(resolved.document)
    elif origin:
        values = [f"{entry.path}: {json.dumps(entry.value, ensure_ascii=False)}" for entry in origins]
        width = min(max(map(len, values)), 72)
        for entry, value in zip(origins, values, strict=True):
            source = click.style(entry.source, dim=True) if entry.mark is None else entry.source
            click.echo(value.ljust(width) + GAP + source)
    else:
        click.echo(dump_recipe(resolved), nl=False)


@recipes.command()
@click.argument("recipe")
@click.argument("target", type=FilePath(), default=Path())
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@plugin_file_option
@click.pass_obj
def cp(state: State, recipe: str, target: Path, force: bool) -> None:
    """Copy a recipe to a file of your own.

    TARGET is the new file, or a folder; by default the current one. A recipe that extends others is written out merged
    with them.

    \b
    Example:
      facekit recipes cp sft_pix2pixhd mine.yaml
    """
    from facekit.recipe.library import copy_recipe

    written = copy_recipe(recipe, target, registry=state.registry(), force=force)
    command = shlex.join(["facekit", "run", str(written), *state.plugin_arguments()])
    note(f"wrote {written}; change it, then `{command}`")


@recipes.command()
@click.option("-o", "--output", type=FilePath(), help="Write to this file in place of stdout.")
@plugin_file_option
@click.pass_obj
def schema(state: State, output: Path | None) -> None:
    """Print a JSON Schema of recipes, built from the installed components, for editors.

    Editors with a YAML language server complete and check recipes by it. A recipe beside it says so in its first line:

    \b
      # yaml-language-server: $schema=recipe.schema.json

    \b
    Example:
      facekit recipes schema -o recipe.schema.json
    """
    from facekit.interfaces import FacekitError
    from facekit.recipe.schema import recipe_schema

    built = recipe_schema(state.registry())
    if output is None:
        print_json(built)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(built, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the file cannot be written: {error.strerror or error}", where=str(output)) from error
    note(f"wrote {output}; a recipe beside it may start with `# yaml-language-server: $schema={output.name}`")
