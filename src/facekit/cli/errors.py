"""How errors reach the person at the terminal."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from facekit import __version__
from facekit.cli.output import print_notices
from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.errors import TOO_MANY_FILES, is_out_of_memory, memory_asked

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def exit_code_of(
    error: BaseException, *, debug: bool, foreign: str | None = None, plugin_files: Sequence[Path] = ()
) -> int:
    """Print an error for a person on stderr and return the exit code that belongs to it.

    Args:
        error: whatever ended the program. SystemExit is passed on as it is.
        debug: print the traceback of every error, not only of defects.
        foreign: the plugin's command that was called, in words; None for one of facekit's own.
        plugin_files: the one-file plugins that were given.
    """
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.exceptions.Abort)):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    expected = error if isinstance(error, (click.ClickException, FacekitError)) else _of_the_machine(error)
    if debug or expected is None:
        traceback.print_exception(error)
    if expected is not None:
        print_error(expected) if isinstance(expected, FacekitError) else expected.show()
        return expected.exit_code
    if foreign is not None:
        who = "people of that plugin with the lines above. Every other command works as before."
        click.echo(
            f"\nThis happened in {foreign}, and is not a mistake of yours. Please report it to the {who}", err=True
        )
        return 1
    from facekit.registry.discovery import PluginOrigin, doctor_command

    doctor = doctor_command([PluginOrigin.of_file(file) for file in plugin_files])
    click.echo(
        f"\nThis is a defect in facekit {__version__} or in a plugin, not a mistake of yours. Please report it with "
        f"the lines above and what `{doctor}` prints.",
        err=True,
    )
    return 1


def _of_the_machine(error: BaseException) -> RunFailure | None:
    """Return the error to show when the machine is out of memory or file handles; None for any other error."""
    if isinstance(error, OSError) and error.errno in TOO_MANY_FILES:
        return RunFailure(
            f"no more files can be opened at once ({error.strerror})",
            where=str(error.filename or "") or None,
            remedy="raise the limit, for instance with `ulimit -n 1024`, and call it again",
        )
    if is_out_of_memory(error):
        return RunFailure(
            f"there is too little memory for this: {memory_asked(error)}",
            remedy="lower the sizes it was given (data.size, train.batch, the options of networks), or end other "
            "programs; `facekit validate RECIPE` estimates what training takes",
        )
    return None


def print_error(error: FacekitError) -> None:
    """Print what is wrong, where, and what to do, on stderr; in colour where stderr is a terminal.

    An error with several ``problems`` (a recipe's mistakes) prints each with its place first, as compilers do, after
    the notices that may explain them.
    """
    problems = getattr(error, "problems", ())
    if problems:
        print_notices(getattr(error, "notices", ()))
        for problem in problems:
            place, _, rest = str(problem).partition(": ")
            body, newline, caret = rest.rpartition("\n")
            if newline and caret.strip() == "^":
                rest = f"{body}\n{click.style(caret, fg='red', bold=True)}"
            click.echo(f"{click.style(place, bold=True)}: {rest}", err=True)
        if len(problems) > 1:
            click.echo(click.style(f"{len(problems)} mistakes", fg="red", bold=True), err=True)
        return
    where = click.style(error.where, bold=True) + ": " if error.where else ""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {where}{error.message}", err=True)
    if error.remedy:
        click.echo("\n".join(f"  {line}" for line in error.remedy.splitlines()), err=True)
