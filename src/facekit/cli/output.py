"""What commands print: tables for people, JSON for programs. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from facekit.inference import FolderItem
    from facekit.recipe import Notice

GAP = "  "

_NARROWEST, _WIDEST, _WITHOUT_TERMINAL = 60, 120, 100


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
        figures: the cells are what matters: headings are broken into several lines, and columns for which the terminal
            is too narrow follow in tables of their own, each beside the first column.
    """
    body = [[str(cell) for cell in row] for row in rows]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    parts: list[list[tuple[str, ...]]] = [[]]  # of tables: columns of lines, all as wide
    for index, name in enumerate(columns):
        cells = [row[index] for row in body]
        width = max(map(len, [*cells, *(name.split() if figures else [name]), ""]))
        heading = wrap(name, width, break_long_words=False) if figures and name else [name]
        align = str.rjust if name in right else str.ljust
        column = tuple(align(line, width) for line in (*heading, *cells))
        taken = sum(len(each[0]) + len(GAP) for each in parts[-1])
        if figures and limit and len(parts[-1]) > 1 and taken + width > limit:
            parts.append([parts[0][0]])
        parts[-1].append(column)
    for number, part in enumerate(parts):
        if number:
            click.echo()
        # Short headings stand at the bottom, next to their figures.
        lines = max(map(len, part))
        filled = [[" " * len(column[0])] * (lines - len(column)) + [*column] for column in part]
        for row_number, row in enumerate(zip(*filled, strict=True)):
            line = GAP.join(row).rstrip()
            if limit and not figures and len(line) > limit:
                line = line[: limit - 1] + "…"
            click.echo(click.style(line, bold=True) if row_number < lines - len(body) else line)


def page_width() -> int:
    """Return the columns to write for: those of the terminal, within what reads well."""
    columns = shutil.get_terminal_size((_WITHOUT_TERMINAL, 24)).columns
    return min(max(columns, _NARROWEST), _WIDEST)


def wrapped(text: str, width: int, indent: str) -> list[str]:
    """Return the lines of a text, indented; a word that is longer than a line, a path, goes beyond it."""
    # A column that is too narrow to read is left to run over.
    room = max(width, len(indent) + 30)
    return wrap(
        text, room, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def hanging(head: str, text: str, width: int, *, bold: bool = False) -> list[str]:
    """Return the lines of a text behind a head, its further lines under its first."""
    first, *rest = wrapped(text, width, " " * len(head)) or [" " * len(head)]
    return [(click.style(head, bold=True) if bold else head) + first[len(head) :], *rest]


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
