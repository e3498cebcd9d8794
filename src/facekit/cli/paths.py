"""Paths on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """The type of arguments and options that name a file or a folder: gives a :class:`~pathlib.Path`.

    The empty path is refused. It would be the current folder: what a script passes on of a variable that is not set.

    Args:
        limits: as for :class:`click.Path`.
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
