"""Progress on stderr: bars that move on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facekit.data.parallel import Progress, ProgressCallback

SECONDS_BETWEEN_LINES = 15.0

_STAGES = {"waiting": "waiting for another process", "pictures": "pictures", "checksums": "checksums"}


@contextmanager
def terminal_bars() -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function that draws a bar for each description: what, done, of how many. None without a terminal.

    Lines that are printed meanwhile appear above the bars.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                # The bar starts where an earlier, interrupted call stopped, so that its estimate is of this call.
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


@contextmanager
def data_progress(verb: str) -> Iterator[ProgressCallback]:
    """Give a callback that shows how far work on data is; ``verb`` names it, e.g. ``preparing``."""
    with terminal_bars() as bar:
        if bar is None:
            yield ProgressLines(verb)
        else:
            yield lambda progress: bar(f"{verb}: {_STAGES[progress.stage]}", progress.done, progress.total)


@contextmanager
def picture_progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows how many of how many images are done; a single one is not worth a bar."""
    last = time.monotonic()
    with terminal_bars() as bar:

        def show(done: int, total: int) -> None:
            nonlocal last
            if bar is not None:
                if total > 1:
                    bar(verb, done, total)
            elif done < total and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                click.echo(f"{verb}: {done:,} of {total:,} pictures", err=True)

        yield show


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows how far each of several pieces of work is: what, done, of how many."""
    last = 0.0
    with terminal_bars() as bar:

        def show(what: str, done: int, total: int) -> None:
            nonlocal last
            if bar is not None:
                bar(what.replace("_", " "), done, total)
            elif done == total or time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                click.echo(f"{what}: {done:,} of {total:,}", err=True)

        yield show


class ProgressLines:
    """Prints a line at the start, every few seconds, and at the end; ``verb`` names the work."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._last = 0.0
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        """Print how far the work is, if it is time."""
        now = time.monotonic()
        new_stage = progress.stage != self._stage
        if not new_stage and now - self._last < SECONDS_BETWEEN_LINES and progress.done < progress.total:
            return
        self._last, self._stage = now, progress.stage
        if progress.stage == "waiting":
            click.echo(f"{self._verb}: {_STAGES['waiting']}", err=True)
        elif progress.stage == "pictures":
            click.echo(f"{self._verb}: {progress.done:,} of {progress.total:,} pictures", err=True)
