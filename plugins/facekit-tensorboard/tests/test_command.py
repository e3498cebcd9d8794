"""``facekit tensorboard``: finding logs, exporting them, and the server itself."""

from __future__ import annotations

import csv
import json
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from facekit.interfaces import FacekitError
from facekit_tensorboard.command import tensorboard
from facekit_tensorboard.event_file import EventFile
from facekit_tensorboard.logs import find_logs
from facekit_tensorboard.settings import Settings
from facekit_tensorboard.values import scalar


def write(folder: Path, *steps: int) -> Path:
    file = EventFile(folder, begins_at=0)
    for step in steps:
        file.write(step, [scalar("loss/l1", step / 4)])
    file.close()
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs with logs, one of them measured as well, and a folder that is no run."""
    write(tmp_path / "runs" / "a" / "tensorboard", 1, 2)
    write(tmp_path / "runs" / "a" / "tensorboard" / "test-ema", 2)
    write(tmp_path / "runs" / "b" / "tensorboard", 3)
    (tmp_path / "runs" / "empty").mkdir()
    return tmp_path / "runs"


def names(*paths: Path, settings: Settings | None = None) -> dict[str, Path]:
    return {log.name: log.folder for log in find_logs(paths, settings or Settings())}


def test_logs_are_found_by_run_by_folder_of_runs_and_by_themselves(runs: Path) -> None:
    logs = {"a": runs / "a" / "tensorboard", "b": runs / "b" / "tensorboard"}
    assert names(runs / "a") == {"a": logs["a"]}
    assert names(runs) == logs
    assert names(runs / "b", runs / "a", runs) == logs  # each once
    assert names(runs / "a" / "tensorboard") == {"a": logs["a"]}
    assert names(write(runs.parent / "logs" / "c", 1)) == {"c": runs.parent / "logs" / "c"}
    elsewhere = Settings(folder=runs.parent / "logs")
    (runs / "c").mkdir()
    assert names(runs / "c", settings=elsewhere) == {"c": runs.parent / "logs" / "c"}


def test_runs_of_one_name_are_told_apart(runs: Path, tmp_path: Path) -> None:
    write(tmp_path / "other" / "a" / "tensorboard", 1)
    assert list(names(runs / "a", runs / "b", tmp_path / "other" / "a")) == ["runs/a", "b", "other/a"]


def test_what_has_no_log_is_told(runs: Path) -> None:
    with pytest.raises(FacekitError, match="there is no TensorBoard log of a run here") as caught:
        find_logs([runs / "empty"], Settings())
    assert str(runs / "empty") in str(caught.value)
    assert "FACEKIT_TENSORBOARD is not off" in str(caught.value)
    with pytest.raises(FacekitError, match="there is no such folder"):
        find_logs([runs / "nowhere"], Settings())


def test_export(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    done = CliRunner().invoke(tensorboard, [str(runs), "--export", str(file)])
    assert done.exit_code == 0, done.output
    assert done.output == f"4 values of a, b written to {file}\n"
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["run"], row["tag"], row["step"], row["value"]) for row in rows] == [
        ("a", "loss/l1", "1", "0.25"),
        ("a", "loss/l1", "2", "0.5"),
        ("a/test-ema", "loss/l1", "2", "0.5"),
        ("b", "loss/l1", "3", "0.75"),
    ]
    assert abs(float(rows[0]["seconds"]) - time.time()) < 600
    with pytest.raises(FacekitError, match="the file cannot be written"):
        CliRunner().invoke(tensorboard, [str(runs), "--export", str(tmp_path / "no" / "x.csv")], catch_exceptions=False)


def get(address: str) -> Any:
    with urlopen(address, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_shows_the_runs_and_leaves_nothing(
    runs: Path, environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("facekit")), "tensorboard", str(runs)],
        env={**environment, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert select.select([process.stderr], [], [], 120)[0]
        line = process.stderr.readline()
        match = re.fullmatch(r"a, b: (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", line)
        assert match, line
        deadline = time.monotonic() + 60
        while len(get(f"{match[1]}data/runs")) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert set(get(f"{match[1]}data/runs")) == {"a", "a/test-ema", "b"}
        curve = get(f"{match[1]}data/plugin/scalars/scalars?run=a&tag={quote('loss/l1')}")
        assert [(step, value) for _, step, value in curve] == [(1, 0.25), (2, 0.5)]
    finally:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert not list(scratch.glob("facekit-tensorboard-*"))


def test_a_port_that_is_taken_is_told(runs: Path, facekit: Callable[..., Any]) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = facekit("tensorboard", runs, "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "TensorBoard's server does not start" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
