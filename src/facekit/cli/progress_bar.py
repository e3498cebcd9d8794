"""A progress bar for work on data: on a terminal it moves, elsewhere a line is printed now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facekit.data import Progress, ProgressCallback

SECONDS_BETWEEN_LINES = 15.0

_STAGES = {"waiting": "waiting for another process", "pictures": "pictures", "checksums": "checksums"}


@contextmanager
def data_progress(verb: str) -> Iterator[ProgressCallback]:
    """Give a callback that shows, on stderr, how far work on data is.

    Args:
        verb: what is being done, e.g. ``preparing``.
    """
    if not sys.stderr.isatty():
        yield ProgressLines(verb)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, object] = {}

        def show(progress: Progress) -> None:
            stage = progress.stage
            if stage not in tasks:
                # The bar starts where an earlier, interrupted call stopped, so that its estimate is of this call.
                tasks[stage] = bars.add_task(f"{verb}: {_STAGES[stage]}", total=progress.total)
            bars.update(tasks[stage], completed=progress.done, total=progress.total)  # type: ignore[arg-type]

        yield show


@contextmanager
def picture_progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows, on stderr, how many of how many pictures are done. A single one is not worth a bar.

    Args:
        verb: what is being done, e.g. ``editing``.
    """
    if not sys.stderr.isatty():
        last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            if done < total and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                click.echo(f"{verb}: {done:,} of {total:,} pictures", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What is printed meanwhile appears above the bar.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total > 1)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows, on stderr, how far each of several pieces of work is: what, done, of how many."""
    if not sys.stderr.isatty():
        last = 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal last
            if done == total or time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                click.echo(f"{what}: {done:,} of {total:,}", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what.replace("_", " "), total=total)
            bars.update(tasks[what], completed=done)

        yield show


class ProgressLines:
    """Prints a line at the start, every few seconds, and at the end.

    Args:
        verb: what is being done.
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._last = 0.0
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        """Take in how far the work is."""
        now = time.monotonic()
        new_stage = progress.stage != self._stage
        if not new_stage and now - self._last < SECONDS_BETWEEN_LINES and progress.done < progress.total:
            return
        self._last, self._stage = now, progress.stage
        if progress.stage == "waiting":
            click.echo(f"{self._verb}: {_STAGES['waiting']}", err=True)
        elif progress.stage == "pictures":
            click.echo(f"{self._verb}: {progress.done:,} of {progress.total:,} pictures", err=True)
