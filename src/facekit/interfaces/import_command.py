"""The command ``facekit import FAMILY``: the arguments that all of them take, and what they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor

    from facekit.interfaces.imported import ImportedNetwork


@dataclass(frozen=True)
class ImportRequest:
    """What a command is asked to import.

    Args:
        checkpoint: the file to read.
        output: the safetensors file to write.
        overwrite: replace it if it is there.
        as_json: print the result as JSON.
    """

    checkpoint: Path
    output: Path
    overwrite: bool
    as_json: bool

    def carry_out(self, *, family: str, convert: Callable[[Mapping[str, Tensor]], Sequence[ImportedNetwork]]) -> None:
        """Import the checkpoint and print what it is; see :func:`facekit.interfaces.imported.import_checkpoint`."""
        from facekit.interfaces.imported import import_checkpoint

        imported = import_checkpoint(
            self.checkpoint, self.output, family=family, convert=convert, overwrite=self.overwrite
        )
        click.echo(imported.as_json() if self.as_json else imported.as_text())


def import_command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function of an :class:`ImportRequest` and of the options that ``click.option`` gives it.

    Its docstring is the command's help.

    Args:
        name: the family, as in ``facekit import NAME``.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def command(checkpoint: Path, output: Path, overwrite: bool, as_json: bool, **own: Any) -> None:
            function(ImportRequest(checkpoint, output, overwrite, as_json), **own)

        path = click.Path(path_type=Path)
        for parameter in (
            click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
            click.option("--overwrite", is_flag=True, help="Replace the file if it is there."),
            click.option("-o", "--output", type=path, required=True, help="The safetensors file to write."),
            click.argument("checkpoint", type=path),
        ):
            command = parameter(command)
        return click.command(name)(command)

    return decorate
