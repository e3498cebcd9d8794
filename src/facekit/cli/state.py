"""What the options before a command settle: plugin files and whether tracebacks are wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facekit.cli.paths import FilePath

if TYPE_CHECKING:
    from facekit.registry import Registry

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class State:
    """The options that every command shares.

    Args:
        debug: show the traceback of errors that are normally shown without one.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        self.plugin_files: list[Path] = []
        self.foreign: str | None = None
        """The command of a plugin that is called, in words; None while it is one of facekit's own."""
        self._warned = False

    def add_plugin_files(self, files: tuple[Path, ...]) -> None:
        """Note one-file plugins; each is loaded once, wherever it was given."""
        for file in files:
            if file.resolve() not in self.plugin_files:
                self.plugin_files.append(file.resolve())

    def registry(self, *, warn: bool = True) -> Registry:
        """Load the plugins and return what they offer; says on stderr, once, when some could not be loaded."""
        from facekit.registry import load_registry
        from facekit.registry.discovery import doctor_command

        registry = load_registry(*self.plugin_files)
        failed = list(dict.fromkeys(failure.origin for failure in registry.plugins.failures))
        if warn and failed and not self._warned:
            self._warned = True
            names = ", ".join(sorted({origin.name for origin in failed}))
            see = doctor_command(failed)
            click.echo(f"warning: plugins that could not be loaded: {names}; see `{see}`", err=True)
        return registry

    def plugin_arguments(self) -> list[str]:
        """Return the arguments that load the same plugin files again, for commands that are printed for reuse."""
        return [argument for file in self.plugin_files for argument in ("--plugin-file", str(file))]


def state_of(context: click.Context) -> State:
    """Return the state of this call of the command line."""
    return context.ensure_object(State)


def plugin_file_option(command: Decorated) -> Decorated:
    """Give a command ``--plugin-file``, which the program takes before the command's name as well."""

    def note(context: click.Context, parameter: click.Parameter, files: tuple[Path, ...]) -> None:
        state_of(context).add_plugin_files(files)

    return click.option(
        "--plugin-file",
        "plugin_files",
        type=FilePath(),
        multiple=True,
        expose_value=False,
        callback=note,
        help="Load a plugin that is one Python file. May be repeated.",
    )(command)


def set_option(command: Decorated) -> Decorated:
    """Give a command that takes a recipe ``--set PATH=VALUE``."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Override a value, e.g. train.batch=4 or losses.generator[perceptual].weight=5. May be repeated.",
    )(command)
