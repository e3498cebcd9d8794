"""``facekit plugins doctor``: find what is wrong with plugins without loading them into this process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.output import page_width, print_json
from facekit.cli.plugin_commands import OWN_COMMANDS
from facekit.cli.state import State, plugin_file_option

if TYPE_CHECKING:
    from facekit.doctor.diagnosis import Diagnosis, PluginDiagnosis, RecipeNeeds
    from facekit.doctor.probe import ComponentKey
    from facekit.registry.discovery import PluginOrigin


@click.command(short_help="Find what is wrong with the installed plugins; exits with 1 when anything is.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each plugin may take to be loaded.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def doctor(state: State, time_limit: float, as_json: bool) -> None:
    """Find what is wrong with the installed plugins, and say what comes of it; exits with 1 when anything is.

    Each plugin is loaded in a process of its own with a time limit, so that one that ends the process, hangs or crashes
    hurts nothing here. Its hooks are called, except the one that watches runs. Told are: what failed and where, names
    that several plugins claim, which components are lost, which recipes need them, and how to switch a plugin off.
    Recipes are those of facekit and of plugins, and those in this folder and its recipes/.

    \b
    Example:
      facekit plugins doctor
      facekit plugins doctor --plugin-file my_losses.py --time-limit 5
    """
    from facekit.cli.doctor_page import doctor_page
    from facekit.doctor.diagnosis import diagnose
    from facekit.doctor.probe import examine
    from facekit.doctor.recipe_needs import recipes_around
    from facekit.interfaces import FacekitError
    from facekit.registry.discovery import PluginOrigin, Switches, find_installed
    from facekit.registry.static_scan import read_offers

    began = time.perf_counter()
    for file in state.plugin_files:
        if not file.is_file():
            raise FacekitError("there is no such plugin file", where=str(file), remedy="give the path of a Python file")
    installed, switches = find_installed(), Switches.read()
    origins = [plugin.origin for plugin in installed.plugins if switches.load(plugin.origin)]
    origins += [PluginOrigin.of_file(file) for file in state.plugin_files]
    examinations = examine(origins, time_limit=time_limit)
    shipped = [(one.origin, path) for one in examinations for path in one.recipes]
    for one in examinations:
        if not one.finished:  # it could not say which recipes it ships
            shipped += [(one.origin, path) for path in read_offers(one.origin.target, file=one.origin.file).recipes]
    recipes = recipes_around(shipped, Path.cwd())
    diagnosis = diagnose(installed, examinations, recipes=recipes, own_commands=OWN_COMMANDS)
    seconds = time.perf_counter() - began
    if as_json:
        print_json(_document(diagnosis, seconds))
    else:
        for line in doctor_page(diagnosis, seconds=seconds, width=page_width()):
            click.echo(line)
    if not diagnosis.sound:
        click.get_current_context().exit(1)


def _document(diagnosis: Diagnosis, seconds: float) -> dict[str, Any]:
    from facekit import __version__
    from facekit.registry.discovery import SWITCHES

    return {
        "facekit": __version__,
        "sound": diagnosis.sound,
        "seconds": round(seconds, 3),
        "switches": {name: os.environ[name] for name in SWITCHES if name in os.environ},
        "mistakes": [{"message": mistake.message, "remedy": mistake.remedy} for mistake in diagnosis.mistakes],
        "plugins": [_plugin(plugin) for plugin in diagnosis.plugins],
        "clashes": [
            {
                "what": clash.what,
                "name": clash.name,
                "sides": [_origin(origin) for origin in clash.sides],
                "with_facekit": clash.with_facekit,
                "outcome": clash.outcome,
                "recipes": [_recipe(one) for one in (diagnosis.named_in(clash.component) if clash.component else ())],
            }
            for clash in diagnosis.clashes
        ],
        "leave_out": {"FACEKIT_PLUGINS": diagnosis.without} if diagnosis.without else None,
    }


def _plugin(plugin: PluginDiagnosis) -> dict[str, Any]:
    origin = plugin.origin
    return {
        **_origin(origin),
        "installed_in": plugin.folder,
        "state": plugin.state,
        "stops_every_command": plugin.ends_facekit,
        "seconds": None if plugin.seconds is None else round(plugin.seconds, 3),
        "problems": [
            {"stage": one.stage, "problem": one.what, "detail": one.detail, "remedy": one.remedy}
            for one in plugin.problems
        ],
        "notes": list(plugin.notes),
        "components": _components(plugin.gives),
        "from_source": plugin.from_source,
        "lost": _components(plugin.lost),
        "recipes": [{**_recipe(one.recipe), "components": _components(one.components)} for one in plugin.affected],
        "switch_off": {"FACEKIT_PLUGINS": plugin.switch_off} if plugin.switch_off else None,
        "uninstall": None if origin.file is not None else f"pip uninstall {origin.distribution}",
    }


def _origin(origin: PluginOrigin) -> dict[str, Any]:
    return {
        "plugin": origin.name,
        "distribution": None if origin.file is not None else origin.distribution,
        "version": origin.version or None,
        "target": origin.target,
        "file": None if origin.file is None else str(origin.file),
    }


def _recipe(recipe: RecipeNeeds) -> dict[str, str]:
    return {"recipe": recipe.name, "path": str(recipe.path)}


def _components(keys: tuple[ComponentKey, ...]) -> list[dict[str, str]]:
    return [{"kind": kind, "name": name} for kind, name in keys]
