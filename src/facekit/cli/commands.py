"""The table of facekit's own commands, and groups that import a command when it is called.

Help comes without torch, pydantic or plugins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """A command that is not imported yet: ``"module:attribute"``, and the line and the heading of help."""

    target: str
    summary: str
    section: str = "Commands"


TRAINING, USING, LOOKING = "Train", "Use a run", "Look around"

COMMANDS = {
    "run": LazyCommand("facekit.cli.run:run", "Train what a recipe describes, measure it, write a report.", TRAINING),
    "resume": LazyCommand("facekit.cli.run:resume", "Go on with a run that was stopped.", TRAINING),
    "ablate": LazyCommand("facekit.cli.ablate:ablate", "Train and measure a grid of runs, and compare them.", TRAINING),
    "validate": LazyCommand("facekit.cli.validate:validate", "Check a recipe, up to a few real steps.", TRAINING),
    "data": LazyCommand("facekit.cli.data:data", "Prepare, check, preview and make data.", TRAINING),
    "generate": LazyCommand("facekit.cli.generate:generate", "Generate images with a trained run.", USING),
    "provenance": LazyCommand("facekit.cli.provenance:provenance", "Say what made a picture.", USING),
    "evaluate": LazyCommand("facekit.cli.evaluate:evaluate", "Measure a run on one of its splits.", USING),
    "compare": LazyCommand("facekit.cli.compare:compare", "Put runs that exist beside each other.", USING),
    "report": LazyCommand("facekit.cli.run:report", "Write a run's report.html again.", USING),
    "import": LazyCommand("facekit.cli.plugin_commands:import_group", "Read other projects' checkpoints.", USING),
    "recipes": LazyCommand("facekit.cli.recipes:recipes", "List, show and copy recipes.", LOOKING),
    "components": LazyCommand("facekit.cli.components:components", "List and show what recipes can use.", LOOKING),
    "plugins": LazyCommand("facekit.cli.plugins:plugins", "List plugins and find what is wrong with them.", LOOKING),
}

OPEN_GROUPS = ("import",)
"""Those of them that plugins may add commands to, by names such as ``"import mine"``."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary alone; help shows them in the order of ``entries``."""

    def __init__(self, *, entries: Mapping[str, LazyCommand], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the group's own commands, in the order help shows them."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for a name the group does not have."""
        entry = self.entries.get(cmd_name)
        return self.foreign_command(ctx, cmd_name) if entry is None else load_command(entry.target)

    def foreign_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command that is not the group's own; a group that plugins can add to overrides this."""
        return None

    def suggestions(self, ctx: click.Context) -> Sequence[str]:
        """Return the names that a mistyped command may have meant."""
        return self.list_commands(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called. Raises click.UsageError with the nearest names when there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.suggestions(ctx), n=3, cutoff=0.5)
            if near:
                hint = "did you mean " + " or ".join(repr(name) for name in near) + "?"
                raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx=ctx) from error
            raise click.UsageError(f"there is no command {args[0]!r}", ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, from their summaries."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.summary))
        width = max((len(name) for name in self.entries), default=0)
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])


def load_command(target: str) -> click.Command:
    """Import the click command behind ``"module:attribute"``.

    Raises:
        TypeError: the attribute is no click command.
    """
    module, attribute = target.split(":")
    command = getattr(import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{target} is a {type(command).__name__}, not a click command")
    return command
