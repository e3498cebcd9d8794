"""``python -m benchmarks``: measure, and write ``benchmarks.json`` and ``benchmarks.md``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import command_start, cuda, data, growth, inference, metrics, training
from benchmarks.measure import machine
from benchmarks.report import SECTIONS, markdown
from facekit.training.memory import keep_freed_memory

MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "training": training.measure,
    "inference": inference.measure,
    "data": data.measure,
    "start": command_start.measure,
    "metrics": metrics.measure,
    "growth": growth.measure,
    "cuda": cuda.measure,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for; sections of an earlier file in the same folder that are not measured stay."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=list(SECTIONS), action="append", help="one section; may be given again")
    parser.add_argument("--small", action="store_true", help="tiny sizes: that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5, help="how often each subject is timed (default 5)")
    parser.add_argument("--faces", type=Path, help="a folder in CelebAMask-HQ's layout; by default faces are drawn")
    parser.add_argument("--out", type=Path, default=Path(), help="where the two files go")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    file = chosen.out / "benchmarks.json"
    document = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    document["machine"] = machine()
    # Both sides of every comparison have it; without it the plain build would wait for pages to be cleared.
    document["keeps_freed_memory"] = keep_freed_memory()
    measures = MEASURES | {"data": partial(data.measure, faces=chosen.faces)}
    for name in chosen.only or SECTIONS:
        print(f"{name} ...", flush=True)
        document[name] = measures[name](small=chosen.small, rounds=chosen.rounds)
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (chosen.out / "benchmarks.md").write_text(markdown(document), encoding="utf-8")
    print(markdown(document))


if __name__ == "__main__":
    main()
