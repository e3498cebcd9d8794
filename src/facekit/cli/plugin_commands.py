"""Commands that plugins add to the command line. A broken one hurts nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from facekit.cli.commands import COMMANDS, OPEN_GROUPS, load_command
from facekit.cli.state import state_of

if TYPE_CHECKING:
    from facekit.doctor.conflicts import NameClash
    from facekit.registry import CommandSpec, PluginOrigin

Offer = tuple["PluginOrigin", "CommandSpec"]

OWN_COMMANDS = {name: name in OPEN_GROUPS for name in COMMANDS}
"""facekit's own commands, and whether plugins may add to each as a group."""


def offers(context: click.Context) -> list[Offer]:
    """Return every command the loaded plugins offer."""
    return state_of(context).registry().commands()


def obstacles(offered: Iterable[Offer]) -> dict[str, NameClash]:
    """Return the commands that nobody can call, by name, with the clash that is in the way."""
    from facekit.doctor.conflicts import command_clashes

    named = [(origin, spec.name) for origin, spec in offered]
    return {
        name: clash
        for clash in command_clashes(named, own=OWN_COMMANDS)
        for _, name in named
        # What stands in the way of a group stands in the way of all that is in it.
        if name == clash.name or name.startswith(f"{clash.name} ")
    }


def find_command(context: click.Context, name: str) -> click.Command | None:
    """Return the plugin command ``name``, or the group ``name`` when plugins add commands called ``"name ..."``.

    Raises:
        FacekitError: several plugins offer the command, it is a group as well, it cannot be imported, or a known
            distribution offers it that is not installed or not loaded.
    """
    from facekit.interfaces import FacekitError
    from facekit.registry.install_hints import how_to_get_command

    offered = offers(context)
    if any(spec.name == name for _, spec in offered):
        return _load(context, name)
    if any(spec.name.startswith(f"{name} ") for _, spec in offered):
        return PluginGroup(name=name, help=f"Commands of plugins: {name}.")
    remedy = how_to_get_command(name, plugins=state_of(context).registry().plugins)
    if remedy is not None:
        raise FacekitError(f"the command {name!r} is of a plugin that is not loaded", remedy=remedy)
    return None


class PluginGroup(click.Group):
    """A group whose commands all come from plugins, which name them ``"group command"``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that plugins put into this group."""
        return sorted(self._summaries(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for a name no plugin offers."""
        return _load(ctx, f"{self.name} {cmd_name}") if cmd_name in self._summaries(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from their summaries, without importing them."""
        rows = sorted(self._summaries(ctx).items())
        with formatter.section("Commands"):
            formatter.write_dl(rows or [("(none)", "no installed plugin adds a command here")])

    def _summaries(self, ctx: click.Context) -> dict[str, str]:
        start = f"{self.name} "
        found = [spec for _, spec in offers(ctx) if spec.name.startswith(start)]
        return {spec.name.removeprefix(start): spec.summary for spec in found}


import_group = PluginGroup(
    name="import",
    help="""Read other projects' checkpoints into safetensors files that recipes can start from.

    \b
    Example:
      facekit import pix2pixhd latest_net_G.pth -o generator.safetensors
      facekit run recipe.yaml --set 'train.initialise=[{part: generator, weights: generator.safetensors}]'
    """,
    short_help="Read other projects' checkpoints.",
)


def _load(context: click.Context, name: str) -> click.Command:
    from facekit.interfaces import FacekitError
    from facekit.registry.discovery import how_to_leave_one_out
    from facekit.registry.plugins import describe_error

    offered = offers(context)
    clash = obstacles(offered).get(name)
    if clash is not None:
        sides = " and ".join(dict.fromkeys(str(side) for side in clash.sides))
        raise FacekitError(
            f"the command {clash.name!r} is claimed by {sides}: {clash.outcome}",
            remedy=how_to_leave_one_out(clash.sides),
        )
    origin, spec = next(offer for offer in offered if offer[1].name == name)
    foreign = f"the command {name!r} of the plugin {origin.name!r} ({origin})"
    state_of(context).foreign = foreign
    try:
        return load_command(spec.target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything at import, SystemExit included
        raise FacekitError(
            f"{foreign} cannot be loaded: {describe_error(error)}",
            where=spec.target,
            remedy="this is the plugin's fault; every other command works. `facekit --debug ...` shows the traceback",
        ) from error
