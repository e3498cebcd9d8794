"""A run trains to its end and keeps its checkpoints, whatever becomes of the terminal it was started from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.conftest import FACEKIT

SHORT = "--set train.steps=4 --set train.evaluate_every=null --set metrics=[]"


@pytest.mark.parametrize(
    ("name", "redirection", "code"),
    [("closed", ">&- 2>&-", 0), ("full", "> out.txt 2> /dev/full", 0), ("gone", "2>&1 | head -n 1 > out.txt", 0)],
)
def test_a_run_without_a_terminal(
    workplace: Path, environment: dict[str, str], name: str, redirection: str, code: int
) -> None:
    run = Path("runs") / f"lost-{name}"
    line = f"{FACEKIT} run tiny.yaml {SHORT} --out {run} {redirection}"
    finished = subprocess.run(["bash", "-c", line], cwd=workplace, env=environment, timeout=300)
    assert finished.returncode == code
    assert (workplace / run / "checkpoints" / "step-00000004" / "manifest.json").is_file()
    assert '"event":"finished"' in (workplace / run / "metrics.jsonl").read_text(encoding="utf-8")
    assert (workplace / run / "report.html").is_file()
