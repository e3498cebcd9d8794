"""``facekit plugins new``: write a plugin that works, to be changed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from facekit.cli.paths import FilePath

if TYPE_CHECKING:
    from facekit.registry import Kind

KINDS = (
    "dataset",
    "style_encoder",
    "network",
    "generator",
    "discriminator",
    "sampler",
    "loss",
    "metric",
    "optimiser",
    "schedule",
    "augmentation",
)


@click.command(name="new", short_help="Write a new plugin.")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="A kind of component to offer; may be repeated. By default a generator. Network and sampler come together.",
)
@click.option("--file", "as_file", is_flag=True, help="Write one file for --plugin-file instead of a distribution.")
@click.option(
    "--into",
    type=FilePath(file_okay=False),
    default=Path(),
    help="The folder to write into; by default this one.",
)
def new_plugin(name: str, kinds: tuple[str, ...], as_file: bool, into: Path) -> None:
    """Write a new plugin that works: change it into your own.

    NAME is the distribution's name, such as facekit-freckles. Written are the components, their options and ports,
    contract tests, a recipe that uses them, a README and a CI file. Nothing that exists is replaced.

    \b
    Example:
      facekit plugins new facekit-freckles --kind loss --kind metric
      facekit plugins new freckles --kind loss --file
    """
    from facekit.scaffold import DEFAULT_KINDS, check_name, write_distribution, write_single_file

    chosen = cast("tuple[Kind, ...]", kinds) or DEFAULT_KINDS
    names = check_name(name)
    if as_file:
        files = write_single_file(names, chosen, into)
        plugin, recipe = files
        following = [
            shlex.join(["facekit", "components", "ls", "--plugin-file", str(plugin)]),
            shlex.join(["facekit", "run", str(recipe), "--plugin-file", str(plugin)]),
        ]
    else:
        folder = into / names.distribution
        files = write_distribution(names, chosen, folder)
        recipe = folder / "recipes" / f"{names.namespace}.yaml"
        where = shlex.quote(str(folder))
        following = [f"pip install -e {where}", f"pytest {where}", f"facekit run {shlex.quote(str(recipe))}"]
    for file in files:
        click.echo(f"wrote {file}")
    click.echo("\nNext:")
    for line in following:
        click.echo(f"  {line}")
