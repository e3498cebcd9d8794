"""(d) How long commands take to start, beside ``python -c "import torch"``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, in_turns, ratio

FACEKIT = str(Path(sys.executable).with_name("facekit"))
RECIPE = str(ROOT / "recipes" / "sft_pix2pixhd.yaml")
COMMANDS = {
    "facekit --help": [FACEKIT, "--help"],
    "facekit run --help": [FACEKIT, "run", "--help"],
    "facekit validate --ports-only": [FACEKIT, "validate", RECIPE, "--ports-only"],
    "facekit recipes show": [FACEKIT, "recipes", "show", RECIPE],
    "facekit components ls": [FACEKIT, "components", "ls"],
    "facekit plugins ls": [FACEKIT, "plugins", "ls"],
}
TORCH = "import torch"


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return a row for each command."""
    commands = dict(list(COMMANDS.items())[:1]) if small else COMMANDS
    subjects: dict[str, Callable[[], object]] = {TORCH: _call([sys.executable, "-c", TORCH])}
    subjects |= {name: _call(command) for name, command in commands.items()}
    times = in_turns(subjects, rounds=rounds, warm_up=0 if small else 1)
    rows = [
        {
            "command": name,
            "seconds": times[name].document(),
            "share_of_torch": 1 / ratio(times[TORCH], times[name])["median"],
        }
        for name in commands
    ]
    return {"import_torch_seconds": times[TORCH].document(), "rows": rows}


def _call(command: list[str]) -> Callable[[], object]:
    def call() -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=tempfile.gettempdir())

    return call
