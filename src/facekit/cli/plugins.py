"""``facekit plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from facekit.cli.doctor import doctor
from facekit.cli.output import print_json, print_table
from facekit.cli.state import FilePath, State, plugin_file_option

if TYPE_CHECKING:
    from facekit.registry import Kind, PluginOrigin

KINDS = (
    *("dataset", "style_encoder", "network", "generator", "discriminator", "sampler"),
    *("loss", "metric", "optimiser", "schedule", "augmentation"),
)
"""Those that a plugin can be written for."""


@click.group(short_help="List plugins and find what is wrong with them.")
def plugins() -> None:
    """List plugins and find what is wrong with them.

    \b
    Example:
      facekit plugins ls
      facekit plugins new facekit-freckles --kind loss
      facekit plugins doctor
    """


plugins.add_command(doctor)


@plugins.command(name="ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def list_plugins(state: State, as_json: bool) -> None:
    """List the installed plugins and the commands they add.

    \b
    Example:
      facekit plugins ls
    """
    from facekit.cli.plugin_commands import obstacles

    registry = state.registry()
    plugins, offered = registry.plugins, registry.commands()
    summaries = {origin: info.summary for origin, info in plugins.call("facekit_plugin_info")}
    components = Counter(component.origin for component in registry.components.values())
    commands: dict[PluginOrigin, list[str]] = {}
    for origin, spec in offered:
        commands.setdefault(origin, []).append(spec.name)
    failed, loaded = ({one.origin for one in part} for part in (plugins.failures, plugins.loaded))
    states = {origin: "failed" if origin in failed else "loaded" for origin in sorted(loaded | failed, key=str)}
    rows = [
        {
            "name": origin.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "state": state,
            "components": components[origin],
            "commands": sorted(commands.get(origin, [])),
            "summary": summaries.get(origin, ""),
        }
        for origin, state in {**states, **dict.fromkeys(plugins.skipped, "switched off")}.items()
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("PLUGIN", "DISTRIBUTION", "STATE", "COMPONENTS", "SUMMARY")
    shown = [{**row, "plugin": row["name"], "distribution": f"{row['distribution']} {row['version']}"} for row in rows]
    print_table(columns, [[str(row[name.lower()]).strip() for name in columns] for row in shown], right=("COMPONENTS",))
    added = sorted((name, origin.name) for origin, names in commands.items() for name in names)
    if added:
        click.echo("\nCommands they add:")
        blocked = obstacles(offered)
        for name, plugin in added:
            clash = blocked.get(name)
            click.echo(f"  facekit {name}  ({plugin})" + (f": cannot be called, {clash.outcome}" if clash else ""))


@plugins.command(name="new", short_help="Write a new plugin.")
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
