"""The command ``facekit``. Nothing here imports torch, pydantic or a plugin: commands are imported when called."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib import metadata, resources
from typing import Any

import click

from facekit import __version__
from facekit.cli.commands import COMMANDS, LazyGroup
from facekit.cli.state import State, plugin_file_option, state_of
from facekit.cli.streams import guard_streams


def installed_commands() -> list[tuple[str, str]]:
    """Return name and summary of the commands of known distributions that are installed, but for those in groups of
    facekit's own, which list them themselves."""
    document = json.loads(
        resources.files("facekit").joinpath("registry", "known_distributions.json").read_text("utf-8")
    )
    installed = {re.sub(r"[-_.]+", "-", one.name).lower() for one in metadata.distributions() if one.name}
    return [
        (name, summary)
        for distribution, offered in document.items()
        for name, summary in offered["commands"].items()
        if distribution in installed and name.split(" ")[0] not in COMMANDS
    ]


class Program(LazyGroup):
    """The whole program: its own commands, those of plugins, and how errors reach the person at the terminal."""

    def foreign_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command of a plugin, None when there is none.

        Plugins are loaded only here, for a name that no command of facekit's own has.
        """
        from facekit.cli.plugin_commands import find_command

        return find_command(ctx, name)

    def suggestions(self, ctx: click.Context) -> Sequence[str]:
        """Return facekit's own commands and those of plugins."""
        from facekit.cli.plugin_commands import offers

        return [*self.entries, *sorted({spec.name.split(" ")[0] for _, spec in offers(ctx)})]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write facekit's own commands, then those of the known plugins that are installed; nothing is imported."""
        super().format_commands(ctx, formatter)
        rows = installed_commands()
        if rows:
            with formatter.section("Of plugins"):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write an example, and where the commands of plugins are listed."""
        with formatter.section("Example"):
            formatter.write_text("facekit run sft_pix2pixhd --set train.steps=200 --out runs/first")
        formatter.write_paragraph()
        formatter.write_text("Plugins can add commands; `facekit plugins ls` lists all of them.")

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program; in standalone mode every outcome, errors included, ends in an exit code.

        A :class:`~facekit.interfaces.FacekitError` is printed without a traceback and exits with its own code (2 for
        mistakes, 1 for runs that could not go on). Ctrl-C exits with 130. Any other exception is a defect: its
        traceback is printed with a line on where to report it, and the exit code is 1.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        state = extra.setdefault("obj", State())
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except BaseException as error:
            # Imported only now: it knows FacekitError, which lives beside pydantic models.
            from facekit.cli.errors import exit_code_of

            sys.exit(exit_code_of(error, debug=state.debug, foreign=state.foreign, plugin_files=state.plugin_files))
        sys.exit(result if isinstance(result, int) else 0)


@click.command(
    cls=Program,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, "--version", message="facekit %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of every error.")
@plugin_file_option
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Train generative face models from recipes, measure them, and use them.

    A recipe names components; plugins bring the components; facekit trains, measures and compares what the recipe
    assembles.
    """
    state_of(context).debug = debug


def main() -> None:
    """Run the command line with the arguments of this process."""
    guard_streams()
    cli.main(prog_name="facekit")
