"""Many plugins cost little: the benchmark itself, with few rounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "many_plugins.py"


@pytest.mark.slow
def test_fifty_plugins_are_listed_within_half_a_second_more_than_one(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "5"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("50 more plugins") == 2
