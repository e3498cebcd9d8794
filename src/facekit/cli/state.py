"""What commands share: options, the type of path arguments, and the state that the program's own options set."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from facekit.registry import Registry

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class FilePath(click.Path):
    """The type of arguments and options that name a file or a folder: gives a :class:`~pathlib.Path`.

    The empty path is refused: it would be the current folder, where a script passes a variable that is not set.
    """

    def __init__(self, **limits: Any) -> None:
        super().__init__(path_type=Path, **limits)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path. Raises BadParameter for an empty one."""
        if value == "":
            self.fail("the path is empty; write . for the current folder", param, ctx)
        return super().convert(value, param, ctx)


class State:
    """The options that every command shares; with ``debug`` every error shows its traceback."""

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
        """Load the plugins and return what they offer; warn on stderr, once, when some could not be loaded."""
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
