"""A stranger's first hour: a fresh environment, facekit, a new distribution, its tests, and a run from its recipe.

It installs everything, torch included, so it takes minutes and several gigabytes: ``pytest -m slow
tests/integration/test_new_distribution.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facekit.scaffold import PARTS

ROOT = Path(__file__).parents[2]
NAME = "facekit-first-hour"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: an environment with torch is too large to be kept for later."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
def test_a_new_distribution_in_a_fresh_environment(scratch: Path) -> None:
    environment = scratch / "environment"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean |= {"FACEKIT_CACHE": str(scratch / "cache"), "OMP_NUM_THREADS": "2"}

    def call(*command: str) -> str:
        done = subprocess.run(command, cwd=scratch, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    call(sys.executable, "-m", "venv", str(environment))
    program = environment / "bin"
    # Copied, so that building leaves nothing in the checkout.
    checkout = scratch / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", ".*_cache"))
    plugins = sorted(str(path) for path in (checkout / "plugins").iterdir() if (path / "pyproject.toml").is_file())
    call(str(program / "pip"), "install", "--quiet", f"{checkout}[testing]", *plugins)

    kinds = [argument for kind in PARTS for argument in ("--kind", kind)]
    call(str(program / "facekit"), "plugins", "new", NAME, *kinds)
    call(str(program / "pip"), "install", "--quiet", "-e", NAME)
    assert "no problems found" in call(str(program / "facekit"), "plugins", "doctor")
    tested = call(str(program / "pytest"), "-q", NAME)
    assert " passed" in tested
    assert "failed" not in tested
    (recipe,) = (scratch / NAME / "recipes").glob("*.yaml")
    call(str(program / "facekit"), "run", str(recipe), "--out", "run")
    lines = [json.loads(line) for line in (scratch / "run" / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines if line["event"] == "train") == 20
    assert any(line["event"] == "finished" for line in lines)
    assert (scratch / "run" / "report.html").is_file()
