"""The display of a run: what it knows, the lines without a terminal, the panel with one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from facekit.cli import display, progress_bar
from facekit.cli.display import Lines, Panel, RunState, spoken_time, training_display
from facekit.cli.output import print_table
from facekit.cli.run import next_run_folder
from facekit.data.parallel import Progress
from facekit.interfaces import (
    CheckpointSaved,
    Evaluated,
    Measurement,
    RunEvent,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)
from facekit.interfaces.errors import spoken_bytes

RUN = Path("runs/first")


def _logged(step: int, change: float | None = 0.25) -> StepLogged:
    return StepLogged(
        run=RUN,
        step=step,
        losses={"discriminator/adversarial": 0.5, "generator/adversarial": 1.0, "generator/perceptual": 2.0},
        learning_rates={},
        seconds_per_step=0.1,
        diagnostics={} if change is None else {"changes_with_reference": change},
    )


def _events() -> list[RunEvent]:
    measured = (Measurement("psnr", 15.25, "dB", "higher"),)
    return [
        RunStarted(RUN, {}, 0, 100, {}),
        _logged(10),
        CheckpointSaved(RUN, 10, RUN / "checkpoints" / "step-00000010"),
        SamplesSaved(RUN, 10, RUN / "samples" / "step-00000010.png"),
        Evaluated(RUN, 10, "validation", "ema", "0123456789ab", measured),
        Warned(RUN, 20, "the result does not change with the reference"),
        _logged(20, None),
    ]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    monkeypatch.setattr(progress_bar, "time", clock)
    return clock


def test_pace_is_of_the_last_steps_and_counts_photos(clock: Clock) -> None:
    state = RunState(images_per_step=8)
    state.see(RunStarted(RUN, {}, 40, 100, {}))
    assert state.pace() == ""
    clock.now += 20
    state.see(_logged(50))
    assert state.seconds_per_step == pytest.approx(2.0)
    assert state.pace() == "2.00 s/step, 4.0 img/s, 1 min 40 s left"
    for step in range(51, 51 + display.RECENT):
        clock.now += 1
        state.see(_logged(step))
    assert state.seconds_per_step == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (552, "9 min 12 s"), (12345, "3 h 25 min")]
)
def test_spoken_time(seconds: float, text: str) -> None:
    assert spoken_time(seconds) == text


def test_lines_without_a_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with training_display(images_per_step=4) as watch:
        assert isinstance(watch, Lines)
        for event in _events():
            clock.now += 6
            watch(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "training to step 100 in runs/first"
    assert lines[1].startswith("step 10/100: discriminator 0.5, generator 3, changes with reference 0.250; 0.60 s/step")
    assert lines[2] == "step 10: validation: psnr 15.25"
    assert lines[3] == "warning: step 20: the result does not change with the reference"


def test_lines_are_seconds_apart_but_the_last_step_is_always_shown(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Lines(RunState(4))
    watch(RunStarted(RUN, {}, 0, 100, {}))
    for step in range(1, 101):
        clock.now += 1
        watch(_logged(step))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step")]
    assert 9 <= len(lines) <= 12
    assert lines[-1].startswith("step 100/100")


def test_the_panel_shows_all_it_knows(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    panel = Panel(RunState(4), console)
    panel.preparing(Progress("pictures", 3, 10))
    console.print(panel.render())
    for event in _events():
        clock.now += 6
        panel(event)
    console.print(panel.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "preparing the data: 3 of 10 pictures",
        "step 20/100",
        "20%",
        "s/step",
        "adversarial 0.5",
        "perceptual 2",
        "0.250 (of 2)",
        "psnr 15.25",
        "step-00000010.png",
        "step 10",
        "warning: step 20: the result does not change with the reference",
    ):
        assert part in text, part


def test_labels_that_look_like_markup_are_printed_as_they_are(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    panel = Panel(RunState(4), console)
    panel(RunStarted(RUN, {}, 0, 100, {}))
    panel(StepLogged(RUN, 1, {"generator/[bold]x[/bold]": 1.0}, {}, 0.1, {}))
    panel(Warned(RUN, 1, "see losses.generator[1] [/nothing]"))
    console.print(panel.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]x[/bold]" in text
    assert "losses.generator[1] [/nothing]" in text


def test_run_folders_are_numbered_and_their_names_are_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert next_run_folder("sft") == Path("runs/sft-1")
    Path("runs/sft-1").mkdir(parents=True)
    assert next_run_folder("sft") == Path("runs/sft-2")
    assert next_run_folder("../../a b/c").parent == Path("runs")
    assert next_run_folder("...") == Path("runs/run-1")


def test_tables_align_and_do_not_cut_lines_that_go_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "COUNT", "TEXT"), [("a", "5", "x" * 300), ("long name", "1,000", "y")], right=("COUNT",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME       COUNT  TEXT"
    assert lines[1] == "a              5  " + "x" * 300
    assert lines[2] == "long name  1,000  y"


def test_tables_of_figures_break_long_headings_and_keep_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("MEASUREMENT", "nearest training photo by mask")
    print_table(columns, [("psnr", "11.16 [9.51, 12.8]")], right=columns[1:], figures=True)
    assert capsys.readouterr().out.splitlines() == [
        "               nearest training",
        "MEASUREMENT       photo by mask",
        "psnr         11.16 [9.51, 12.8]",
    ]


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (1020 * 2**20, "0.996 GiB"),
        (999 * 2**20, "999 MiB"),
        (3.72 * 2**30, "3.72 GiB"),
        (51_200 * 2**30, "51,200 GiB"),
    ],
)
def test_sizes_are_said_without_exponents(count: float, wanted: str) -> None:
    assert spoken_bytes(count) == wanted
