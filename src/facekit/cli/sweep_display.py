"""The display of a sweep: a bar over the whole grid, a line for each run, and the remaining time."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facekit.cli.display import spoken_time
from facekit.cli.output import note

if TYPE_CHECKING:
    from rich.console import Group

    from facekit.experiments.jobs import AblationFolder
    from facekit.experiments.sweep import SweepOutcome, SweepProgress

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def sweep_display() -> Iterator[Callable[[SweepProgress], None]]:
    """Give a callback that shows, on stderr, how far a sweep is."""
    if not sys.stderr.isatty():
        yield SweepLines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(panel(progress))


def tell_failures(outcome: SweepOutcome, folder: AblationFolder) -> None:
    """Print on stderr which runs failed, why, and where their logs are."""
    for work in outcome.of("failed"):
        note(f"failed: {work.cell.label}: {work.error.splitlines()[0]} (log: {folder.log(work.key)})")


def summary(progress: SweepProgress) -> str:
    """Return how far a sweep is, in a line."""
    phases = Counter(work.phase for work in progress.works)
    text = f"{phases['done']} of {len(progress.works)} done"
    text += f", {phases['failed']} failed" if phases["failed"] else ""
    text += f", {phases['working']} going on" if phases["working"] else ""
    text += f"; step {progress.steps_done:,} of {progress.steps:,}" if progress.steps else ""
    left = progress.seconds_left(time.monotonic())
    return text + (f"; {spoken_time(left)} left" if left else "")


class SweepLines:
    """Prints a line for each run that begins or ends, and one now and then for all of them."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}
        self._last = time.monotonic()

    def __call__(self, progress: SweepProgress) -> None:
        """Take in how far the sweep is."""
        changed = [work for work in progress.works if work.phase != self._phases.get(work.key, "waiting")]
        for work in changed:
            self._phases[work.key] = work.phase
            note(f"{work.cell.label}: {work.phase}" + (f": {work.error.splitlines()[0]}" if work.error else ""))
        if changed or time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            note(summary(progress))


def panel(progress: SweepProgress) -> Group:
    """Return what stands on the screen: the whole, what goes on, what failed."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head, body = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    total = progress.steps or len(progress.works)
    completed = progress.steps_done if progress.steps else sum(work.phase == "done" for work in progress.works)
    head.add_row(ProgressBar(total=total, completed=completed, width=30), Text(summary(progress), style="bold"))
    for work in progress.works:
        label, steps = Text(work.cell.label), work.cell.steps
        if work.phase == "working":
            how = f"step {work.step:,} of {steps:,}" if work.step < steps else "measuring"
            body.add_row(label, ProgressBar(total=steps or 1, completed=work.step, width=20), Text(how, style="dim"))
        elif work.phase == "failed":
            body.add_row(label, Text("failed", style="red"), Text(work.error.splitlines()[0][:80]))
    return Group(head, body)
