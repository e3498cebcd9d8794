"""A plugin in one file that watches runs: it keeps the losses of each run as a table that spreadsheets read."""

from __future__ import annotations

import csv

from facekit.interfaces import RunEvent, RunStarted, StepLogged
from facekit.registry import hookimpl

NAME = "losses.csv"


@hookimpl
def facekit_run_event(event: RunEvent) -> None:
    """Write a line for each log line of the run."""
    if isinstance(event, RunStarted):
        _drop_lines_after(event.run / NAME, event.first_step)
    elif isinstance(event, StepLogged):
        file = event.run / NAME
        is_new = not file.exists()
        with file.open("a", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            if is_new:
                writer.writerow(["step", *event.losses])
            writer.writerow([event.step, *event.losses.values()])


def _drop_lines_after(file, step):
    """A run that goes on from a checkpoint does the steps after it again, and tells them again."""
    if file.exists():
        heading, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if int(line.split(",")[0]) <= step]
        file.write_text(heading + "".join(kept), encoding="utf-8")
