"""What commands print: tables for people, JSON for programs. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from facekit.inference import FolderItem
    from facekit.recipe import Notice

GAP = "  "


def print_json(value: Any) -> None:
    """Print a value as indented JSON on stdout; NaN and infinity become null, which every JSON reader takes."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), figures: bool = False
) -> None:
    """Print rows under headings on stdout.

    On a terminal the last column is cut to the width; into a file or a pipe every row is one whole line.

    Args:
        columns: the headings.
        rows: the cells, as text.
        right: the headings of columns that are aligned on the right (numbers).
        figures: the cells are what matters: headings are broken into several lines, and nothing is cut.
    """
    body = [[str(cell) for cell in row] for row in rows]
    widest = [max((len(row[index]) for row in body), default=0) for index in range(len(columns))]
    heads = [
        wrap(name, max(width, *map(len, name.split()), 1), break_long_words=False) or [""] if figures else [name]
        for name, width in zip(columns, widest, strict=True)
    ]
    widths = [max(width, *map(len, lines)) for width, lines in zip(widest, heads, strict=True)]
    depth = max(map(len, heads))
    # Short headings stand at the bottom, next to their figures.
    above = [[([""] * (depth - len(lines)) + lines)[line] for lines in heads] for line in range(depth)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() and not figures else None
    for number, row in enumerate([*above, *body]):
        parts = [
            cell.rjust(width) if columns[index] in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = GAP.join(parts).rstrip()
        if limit and len(line) > limit:
            line = line[: limit - 1] + "…"
        click.echo(click.style(line, bold=True) if number < depth else line)


def note(message: str) -> None:
    """Print a line for the person at the terminal on stderr."""
    click.echo(message, err=True)


def tell_item(item: FolderItem, total: int) -> None:
    """Print on stderr why an image failed, or the message about it where it is the only one of ``total``."""
    if item.outcome == "failed":
        note(f"failed: {item.output}: {item.message}")
    elif item.message and total == 1:
        note(item.message)


def print_notices(notices: Sequence[Notice]) -> None:
    """Print on stderr, a line each, which options were migrated from an older version of a component."""
    for notice in notices:
        place = click.style(str(notice.mark), bold=True)
        click.echo(f"{place}: {notice.path}: {click.style('note', fg='cyan', bold=True)}: {notice.message}", err=True)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return ``1 step``, ``3 steps``, ``1,200 steps``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def write_text(file: Path, text: str) -> None:
    """Write a text file, with the folders above it.

    Raises:
        FacekitError: it cannot be written.
    """
    from facekit.interfaces import FacekitError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the file cannot be written: {error.strerror or error}", where=str(file)) from error
