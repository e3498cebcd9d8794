"""Writes ``command-line.md`` from the commands themselves. A test compares; run it after changing a command.

python docs/generate_command_line.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from facekit.cli.main import cli
from facekit.cli.plugin_commands import PluginGroup

TARGET = Path(__file__).with_name("command-line.md")
WIDTH = 100

OF_PLUGINS = ("edit", "studio", "evaluate-edits", "export")
"""Commands of facekit-studio and facekit-export, which are described here as well."""

INTRODUCTION = """\
# Command line

Generated from the commands by `docs/generate_command_line.py`; what follows is what `--help` prints.

Results go to stdout (with `--json` as JSON), progress and messages to stderr. Exit codes: 0 for success, 2 for a
mistake that you can mend (told without a traceback), 1 for a run that could not go on and for defects, 130 after
Ctrl-C.

Plugins add commands: `facekit edit`, `studio` and `evaluate-edits` are those of
[facekit-studio](../plugins/facekit-studio), `export` that of [facekit-export](../plugins/facekit-export). Those of
`facekit import` come from plugins only, and are described in their READMEs.
"""


def render() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for names, text in _commands(cli, ("facekit",), None):
        parts.append(f"{'#' * min(2 + len(names) - 1, 4)} `{' '.join(names)}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _commands(
    command: click.Command, names: tuple[str, ...], parent: click.Context | None
) -> Iterator[tuple[tuple[str, ...], str]]:
    # As wide as the commands themselves allow, whatever the terminal this is run in.
    context = click.Context(
        command,
        info_name=names[-1],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    if isinstance(command, PluginGroup):
        # Its commands depend on the plugins that are installed.
        return
    yield names, command.get_help(context)
    if isinstance(command, click.Group):
        of_plugins = OF_PLUGINS if parent is None else ()
        for name in (*command.list_commands(context), *of_plugins):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*names, name), context)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
