"""``facekit plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import click

from facekit.cli.output import print_json, print_table
from facekit.cli.plugins_doctor import doctor
from facekit.cli.plugins_new import new_plugin
from facekit.cli.state import State, plugin_file_option


@click.group(short_help="List plugins and find what is wrong with them.")
def plugins() -> None:
    """List plugins and find what is wrong with them.

    \b
    Example:
      facekit plugins ls
      facekit plugins new facekit-freckles --kind loss
      facekit plugins doctor
    """


plugins.add_command(new_plugin)
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
    summaries = {origin: info.summary for origin, info in registry.plugins.call("facekit_plugin_info")}
    components: dict[object, int] = {}
    for component in registry.components.values():
        components[component.origin] = components.get(component.origin, 0) + 1
    commands: dict[object, list[str]] = {}
    offered = registry.commands()
    for origin, spec in offered:
        commands.setdefault(origin, []).append(spec.name)
    failed = {failure.origin for failure in registry.plugins.failures}
    rows = [
        {
            "name": origin.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "state": "failed" if origin in failed else "loaded",
            "components": components.get(origin, 0),
            "commands": sorted(commands.get(origin, [])),
            "summary": summaries.get(origin, ""),
        }
        for origin in sorted(
            {entry.origin for entry in registry.plugins.loaded} | failed, key=lambda origin: str(origin)
        )
    ]
    rows += [
        {
            "name": origin.name,
            "distribution": origin.distribution,
            "version": origin.version,
            "state": "switched off",
            "components": 0,
            "commands": [],
            "summary": "",
        }
        for origin in registry.plugins.skipped
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("PLUGIN", "DISTRIBUTION", "STATE", "COMPONENTS", "SUMMARY"),
        [
            (
                row["name"],
                f"{row['distribution']} {row['version']}".strip(),
                row["state"],
                str(row["components"]),
                row["summary"],
            )
            for row in rows
        ],
        right=("COMPONENTS",),
    )
    added = sorted((name, origin.name) for origin, names in commands.items() for name in names)  # type: ignore[attr-defined]
    if added:
        click.echo("\nCommands they add:")
        blocked = obstacles(offered)
        for name, plugin in added:
            clash = blocked.get(name)
            click.echo(f"  facekit {name}  ({plugin})" + (f": cannot be called, {clash.outcome}" if clash else ""))
