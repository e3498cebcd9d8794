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


@contextmanager
def stage_progress(noun: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows how far each of several pieces of work is: what, done, of how many.

    Lines that are printed meanwhile appear above the bars. ``noun`` ends the lines: `` pictures``.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def show_bar(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    # The bar starts where an earlier, interrupted call stopped, so that its estimate is of this call.
                    tasks[what] = bars.add_task(what.replace("_", " "), total=total)
                bars.update(tasks[what], completed=done, total=total)

            yield show_bar
        return
    began = time.monotonic()
    last: dict[str, float] = {}

    def print_line(what: str, done: int, total: int) -> None:
        if done < total and time.monotonic() - last.get(what, began) >= SECONDS_BETWEEN_LINES:
            last[what] = time.monotonic()
            click.echo(f"{what}: {done:,} of {total:,}{noun}", err=True)

    yield print_line


@contextmanager
def data_progress(verb: str) -> Iterator[ProgressCallback]:
    """Give a callback that shows how far work on data is; ``verb`` names it, e.g. ``preparing``."""
    with stage_progress(" pictures") as show:
        is_waiting = False

        def report(progress: Progress) -> None:
            nonlocal is_waiting
            waited, is_waiting = is_waiting, progress.stage == "waiting"
            if is_waiting and not waited:
                click.echo(f"{verb}: waiting for another process", err=True)
            elif not is_waiting:
                what = f"{verb}: checksums" if progress.stage == "checksums" else verb
                show(what, progress.done, progress.total)

        yield report


@contextmanager
def picture_progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows how many of how many images are done; a single one is not worth a bar."""
    with stage_progress(" pictures") as show:
        yield lambda done, total: show(verb, done, total) if total > 1 else None
