"""``facekit plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import click

from facekit import __version__
from facekit.cli.output import plural, print_json, print_table
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
    registry = state.registry()
    summaries = {origin: info.summary for origin, info in registry.plugins.call("facekit_plugin_info")}
    components: dict[object, int] = {}
    for component in registry.components.values():
        components[component.origin] = components.get(component.origin, 0) + 1
    commands: dict[object, list[str]] = {}
    for origin, spec in registry.commands():
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
        for name, plugin in added:
            click.echo(f"  facekit {name}  ({plugin})")


@plugins.command()
@plugin_file_option
@click.pass_obj
def doctor(state: State) -> None:
    """Say what is wrong with the installed plugins; exits with 1 when anything is.

    Shows the traceback of each plugin that failed, components that two plugins claim, and factories that do not exist.

    \b
    Example:
      facekit plugins doctor
    """
    registry = state.registry(warn=False)
    # Some hooks are only called when they are needed; call them all, so that what they raise is found here.
    registry.commands()
    registry.recipe_paths()
    registry.plugins.call("facekit_plugin_info")
    problems = 0
    for failure in registry.plugins.failures:
        problems += 1
        click.echo(f"{failure.origin.name} ({failure.origin}) failed while {failure.stage}: {failure.error}")
        for line in failure.traceback.rstrip().splitlines():
            click.echo(f"  {line}")
    for clash in registry.clashes:
        problems += 1
        sides = " and ".join(str(origin) for origin in clash.origins)
        click.echo(f"{clash.kind} {clash.id} is claimed by {sides}: uninstall one, or choose with FACEKIT_PLUGINS")
    for component in registry.components.values():
        reason = _missing_factory(component.spec.factory)
        if reason:
            problems += 1
            click.echo(f"{component.spec.kind} {component.spec.id} ({component.origin}): {reason}")
    for origin in registry.plugins.skipped:
        click.echo(f"{origin.name} ({origin}) is switched off by FACEKIT_PLUGINS or FACEKIT_NO_PLUGINS")
    loaded = plural(len(registry.plugins.loaded), "plugin")
    click.echo(
        f"facekit {__version__}: {loaded} loaded, {plural(len(registry.components), 'component')}, "
        + (plural(problems, "problem") if problems else "no problems found")
    )
    if problems:
        click.get_current_context().exit(1)


def _missing_factory(target: str) -> str | None:
    """Return why a factory cannot be there, else None. Its module is looked for, not imported."""
    from importlib.util import find_spec

    module = target.split(":")[0]
    try:
        found = find_spec(module)
    except Exception as error:  # a parent package that raises at import
        return f"the module of its factory {target!r} cannot be found: {type(error).__name__}: {error}"
    return None if found else f"its factory {target!r} names a module that does not exist"
