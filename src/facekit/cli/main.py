"""The command ``facekit``. Nothing here imports torch, pydantic or a plugin: commands are imported when called."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import metadata, resources
from typing import Any

import click

from facekit import __version__
from facekit.cli.commands import COMMANDS, LazyCommand, load_command
from facekit.cli.state import State, plugin_file_option, state_of
from facekit.cli.streams import guard_streams


class Program(click.Group):
    """The whole program: its own commands, those of plugins, and how errors reach the person at the terminal.

    Its own commands are known by name and summary alone. Plugins are loaded only for a name that none of them has.
    """

    def __init__(self, *, entries: Mapping[str, LazyCommand], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of facekit's own commands, in the order help shows them."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, of facekit or of a plugin; None where there is none."""
        from facekit.cli.plugin_commands import find_command

        entry = self.entries.get(cmd_name)
        return find_command(ctx, cmd_name) if entry is None else load_command(entry.target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called. Raises click.UsageError with the nearest names when there is none."""
        from facekit.cli.plugin_commands import offers

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = [*self.entries, *sorted({spec.name.split(" ")[0] for _, spec in offers(ctx)})]
            near = " or ".join(repr(name) for name in get_close_matches(args[0], known, n=3, cutoff=0.5))
            hint = f"; did you mean {near}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write facekit's own commands by section, then those of installed known plugins; nothing is imported."""
        sections: dict[str, list[tuple[str, str]]] = {}
        width = max((len(name) for name in self.entries), default=0)
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name.ljust(width), entry.summary))
        known = json.loads(
            resources.files("facekit").joinpath("registry", "known_distributions.json").read_text("utf-8")
        )
        installed = {re.sub(r"[-_.]+", "-", one.name).lower() for one in metadata.distributions() if one.name}
        offered = [known[name]["commands"] for name in known if name in installed]
        # Those in groups of facekit's own are listed by the groups.
        rows = [(name, text) for one in offered for name, text in one.items() if name.split(" ")[0] not in COMMANDS]
        for section, entries in (*sections.items(), *([("Of plugins", rows)] if rows else [])):
            with formatter.section(section):
                formatter.write_dl(entries)

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
