"""Progress of work on pictures, where nobody looks at a terminal and where somebody does."""

from __future__ import annotations

import io

import pytest

from facekit.cli import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    with progress_bar.picture_progress("editing") as show:
        for done in (1, 2, 3):
            now[0] += progress_bar.SECONDS_BETWEEN_LINES / 2
            show(done, 3)
    assert capsys.readouterr() == ("", "editing: 2 of 3 pictures\n")


@pytest.mark.parametrize(("total", "shown"), [(3, True), (1, False)])
def test_a_bar_on_a_terminal_unless_there_is_one_picture(
    monkeypatch: pytest.MonkeyPatch, total: int, shown: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar.picture_progress("editing") as show:
        show(1, total)
    assert ("editing" in terminal.getvalue() and f"1/{total}" in terminal.getvalue()) is shown
