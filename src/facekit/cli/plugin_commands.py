"""Commands that plugins add to the command line. A broken one hurts nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facekit.cli.lazy import load_command
from facekit.cli.state import state_of

if TYPE_CHECKING:
    from facekit.registry import CommandSpec, PluginOrigin

Offer = tuple["PluginOrigin", "CommandSpec"]


def offers(context: click.Context) -> list[Offer]:
    """Return every command the loaded plugins offer."""
    return state_of(context).registry().commands()


def find_command(context: click.Context, name: str) -> click.Command | None:
    """Return the plugin command ``name``, or the group ``name`` when plugins add commands called ``"name ..."``.

    Raises:
        FacekitError: several plugins offer the command, or it cannot be imported.
    """
    found = [offer for offer in offers(context) if offer[1].name == name]
    if found:
        return _load(found)
    members = [offer for offer in offers(context) if offer[1].name.startswith(f"{name} ")]
    return PluginGroup(prefix=name, name=name, help=f"Commands of plugins: {name}.") if members else None


class PluginGroup(click.Group):
    """A group whose commands all come from plugins, which name them ``"prefix command"``.

    Args:
        prefix: the group's own name.
        **attributes: what :class:`click.Group` takes.
    """

    def __init__(self, *, prefix: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that plugins put into this group."""
        return sorted(self._members(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for a name no plugin offers."""
        found = self._members(ctx).get(cmd_name)
        return _load(found) if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from their summaries, without importing them."""
        rows = [(name, found[0][1].summary) for name, found in sorted(self._members(ctx).items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows or [("(none)", "no installed plugin adds a command here")])

    def _members(self, ctx: click.Context) -> dict[str, list[Offer]]:
        members: dict[str, list[Offer]] = {}
        for origin, spec in offers(ctx):
            group, _, name = spec.name.partition(" ")
            if group == self.prefix and name:
                members.setdefault(name, []).append((origin, spec))
        return members


def _load(found: list[Offer]) -> click.Command:
    from facekit.interfaces import FacekitError

    if len(found) > 1:
        sides = " and ".join(str(origin) for origin, _ in found)
        raise FacekitError(
            f"the command {found[0][1].name!r} is offered by {sides}",
            remedy="uninstall one, or choose with FACEKIT_PLUGINS",
        )
    origin, spec = found[0]
    try:
        return load_command(spec.target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything at import, SystemExit included
        raise FacekitError(
            f"the command {spec.name!r} of plugin {origin.name!r} ({origin}) cannot be loaded: "
            f"{type(error).__name__}: {error}",
            where=spec.target,
            remedy="this is the plugin's fault; every other command works. `facekit --debug ...` shows the traceback",
        ) from error
