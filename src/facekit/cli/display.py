"""How a run is watched at the terminal: a live panel where stderr is a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from facekit.cli.progress_bar import data_progress
from facekit.interfaces import (
    CheckpointSaved,
    Evaluated,
    RunEvent,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)

if TYPE_CHECKING:
    from rich.console import Console, Group

    from facekit.data.parallel import Progress, ProgressCallback

SECONDS_BETWEEN_LINES = 10.0
RECENT = 10
"""How many of the last log lines the remaining time is estimated from."""


def spoken_time(seconds: float) -> str:
    """Return a time in words: ``45 s``, ``9 min 12 s``, ``3 h 20 min``."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 1:
        return f"{whole} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def training_display(*, images_per_step: int) -> Iterator[Lines | Panel]:
    """Give an observer of a run that shows it on stderr; its ``preparing`` shows how far the data is.

    Args:
        images_per_step: photos a step trains on, for the speed.
    """
    state = RunState(images_per_step)
    if not sys.stderr.isatty():
        with data_progress("preparing the data") as preparing:
            yield Lines(state, preparing)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    panel = Panel(state, console)
    with Live(console=console, get_renderable=panel.render, refresh_per_second=4, transient=True):
        yield panel


def computing(event: RunStarted) -> str:
    """Return a line on how a run computes."""
    return ", ".join(filter(None, (f"on {event.device} in {event.precision}", event.acceleration)))


class RunState:
    """What is known of a run from its events."""

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self.run = ""
        self.step = self.steps = 0
        self.losses: Mapping[str, float] = {}
        self.change: float | None = None
        self.checkpoint: int | None = None
        self.sample = ""
        self.evaluation: Evaluated | None = None
        self._speeds: deque[float] = deque(maxlen=RECENT)
        self._clock = time.monotonic()

    def see(self, event: RunEvent) -> None:
        """Take in an event."""
        if isinstance(event, RunStarted):
            self.run, self.step, self.steps = str(event.run), event.first_step, event.steps
            self._clock = time.monotonic()
        elif isinstance(event, StepLogged):
            # Wall time rather than the time in steps, so that checkpoints and samples are in the estimate.
            now = time.monotonic()
            if event.step > self.step:
                self._speeds.append((now - self._clock) / (event.step - self.step))
            self._clock, self.step, self.losses = now, event.step, event.losses
            self.change = event.diagnostics.get("changes_with_reference", self.change)
        elif isinstance(event, CheckpointSaved):
            self.checkpoint = event.step
        elif isinstance(event, SamplesSaved):
            self.sample = str(event.file)
        elif isinstance(event, Evaluated):
            self.evaluation = event

    @property
    def seconds_per_step(self) -> float | None:
        """The time a step took lately, everything included; None before it is known."""
        return sum(self._speeds) / len(self._speeds) if self._speeds else None

    def pace(self) -> str:
        """Return speed and remaining time in words; empty before they are known."""
        seconds = self.seconds_per_step
        if not seconds:
            return ""
        left = spoken_time((self.steps - self.step) * seconds)
        return f"{seconds:.2f} s/step, {self.images_per_step / seconds:.1f} img/s, {left} left"

    def losses_by_player(self) -> dict[str, list[tuple[str, float]]]:
        """Return the losses as ``player: [(label, value), ...]``."""
        players: dict[str, list[tuple[str, float]]] = {}
        for name, value in self.losses.items():
            player, _, label = name.partition("/")
            players.setdefault(player, []).append((label or player, value))
        return players


class Lines:
    """Prints a line now and then."""

    def __init__(self, state: RunState, preparing: ProgressCallback | None = None) -> None:
        self.state = state
        self.preparing = preparing
        self._last = 0.0

    def __call__(self, event: RunEvent) -> None:
        """Take in an event and print it, if it is time."""
        state = self.state
        state.see(event)
        if isinstance(event, RunStarted):
            start = f"from step {event.first_step:,} " if event.first_step else ""
            click.echo(f"training {start}to step {event.steps:,} in {event.run}", err=True)
            if event.device:
                click.echo(computing(event), err=True)
        elif isinstance(event, Warned):
            click.echo(f"warning: step {event.step:,}: {event.message}", err=True)
        elif isinstance(event, Evaluated):
            found = ", ".join(f"{entry.name} {entry.value:.4g}" for entry in event.measurements)
            click.echo(f"step {event.step:,}: {event.split}: {found}", err=True)
        elif isinstance(event, StepLogged):
            now = time.monotonic()
            if now - self._last < SECONDS_BETWEEN_LINES and event.step < state.steps:
                return
            self._last = now
            players = state.losses_by_player().items()
            losses = ", ".join(f"{player} {sum(value for _, value in entries):.4g}" for player, entries in players)
            change = "" if state.change is None else f", changes with reference {state.change:.3f}"
            click.echo(f"step {event.step:,}/{state.steps:,}: {losses}{change}; {state.pace()}", err=True)


class Panel:
    """Draws the run as a panel that stays in place; warnings are printed above it."""

    def __init__(self, state: RunState, console: Console) -> None:
        self.state = state
        self._console = console
        self._prepared: Progress | None = None

    def preparing(self, progress: Progress) -> None:
        """Take in how far the data is."""
        self._prepared = progress

    def __call__(self, event: RunEvent) -> None:
        """Take in an event."""
        self.state.see(event)
        if isinstance(event, RunStarted) and event.device:
            self._console.print(computing(event), style="dim", markup=False)
        elif isinstance(event, Warned):
            from rich.text import Text

            self._console.print(Text(f"warning: step {event.step:,}: {event.message}", style="yellow"))

    def render(self) -> Group:
        """Return what stands on the screen now."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        state = self.state
        if not state.steps:
            prepared, title = self._prepared, "setting up"
            if prepared is not None and prepared.stage == "pictures" and prepared.done < prepared.total:
                title = f"preparing the data: {prepared.done:,} of {prepared.total:,} pictures"
            return Group(Text(title, style="dim"))
        head, body = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"step {state.step:,}/{state.steps:,}", style="bold"),
            ProgressBar(total=state.steps, completed=state.step, width=30),
            Text(f"{state.step / state.steps:.0%}"),
            Text(state.pace() or "the first steps take longer", style="dim"),
        )
        for player, entries in state.losses_by_player().items():
            values = Text("  ").join(Text.assemble((f"{label} ", "dim"), f"{value:.4g}") for label, value in entries)
            body.add_row(Text(player, style="bold"), values)
        more: dict[str, Text] = {}
        if state.change is not None:
            more["changes with reference"] = Text(f"{state.change:.3f} (of 2)")
        if state.evaluation is not None:
            found = "  ".join(f"{entry.name} {entry.value:.4g}" for entry in state.evaluation.measurements)
            more[f"{state.evaluation.split} at {state.evaluation.step:,}"] = Text(found)
        if state.sample:
            more["newest samples"] = Text(state.sample, style="dim")
        if state.checkpoint is not None:
            more["newest checkpoint"] = Text(f"step {state.checkpoint:,}", style="dim")
        for label, text in more.items():
            body.add_row(Text(label, style="bold"), text)
        return Group(head, body)
