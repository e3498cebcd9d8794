"""Streams that are closed, full or gone: in processes of their own, as shells start them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")

PRINT = """
import sys
from facekit.cli.streams import guard_streams
guard_streams()
import click
opened = open(sys.argv[1] + ".file", "w")
for number in range(3):
    click.echo(f"for the person {number} \\ud800", err=True)
print("a traceback", file=sys.stderr)
opened.write("the file")
opened.close()
click.echo("result \\ud800")
open(sys.argv[1], "w").write("done")
"""


def shell(redirection: str, script: str, done: Path) -> subprocess.CompletedProcess[str]:
    line = f'"$0" -c "$1" "$2" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, script, str(done)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-", "2> >(exec 0<&-; sleep 0.2)"])
def test_stderr_never_ends_a_command(tmp_path: Path, redirection: str) -> None:
    finished = shell(redirection, PRINT, tmp_path / "done")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "result \\ud800\n"
    assert (tmp_path / "done").read_text() == "done"
    # A descriptor that was closed is not given to the next file, into which the display would then be written.
    assert (tmp_path / "done.file").read_text() == "the file"


def test_a_closed_stdout_is_no_mistake(tmp_path: Path) -> None:
    finished = shell(">&-", PRINT, tmp_path / "done")
    assert (finished.returncode, (tmp_path / "done").read_text()) == (0, "done")
    assert "for the person 2" in finished.stderr


def test_all_streams_closed(tmp_path: Path) -> None:
    finished = shell("<&- >&- 2>&-", PRINT, tmp_path / "done")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert (tmp_path / "done.file").read_text() == "the file"


LIST = "from facekit.cli.main import main; import sys; sys.argv[1:] = ['recipes', 'ls']; main()"


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", 1, "error: stdout: what this command prints cannot be written: No space left on device"),
        (">/dev/full 2>&1", 1, ""),
        ("2>&-", 0, ""),
        (">&-", 0, ""),
        ("> >(exec 0<&-; sleep 5)", 141, ""),
    ],
)
def test_commands_whose_output_is_lost(tmp_path: Path, redirection: str, code: int, said: str) -> None:
    finished = shell(redirection, LIST, tmp_path / "unused")
    assert finished.returncode == code
    assert "Traceback" not in finished.stderr
    assert "Exception ignored" not in finished.stderr
    assert said in finished.stderr
