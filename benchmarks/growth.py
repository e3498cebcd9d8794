"""(f) Growth: a training step and its memory from 64 to 512 pixels, and the size of the set."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import in_process, in_turns
from benchmarks.subjects import Case, Facekit


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return a row for each size, at half width, and one for each number of pictures."""
    cases = [Case(size, 1, filters=4 if small else 32) for size in ((64,) if small else (64, 128, 256, 512))]
    rows = []
    for case in cases:
        with tempfile.TemporaryDirectory() as name:
            ours = Facekit.of(case, Path(name))
            seconds = in_turns({"": ours.step}, rounds=rounds)[""]
        memory = in_process("benchmarks.training", "facekit", str(case.size), str(case.batch), str(case.filters))
        rows.append(
            {
                "size": case.size,
                "filters": case.filters,
                "seconds_a_picture": seconds.document(),
                "microseconds_a_pixel": seconds.median * 1e6 / case.size**2,
                "peak_bytes": memory["peak"],
            }
        )
    counts = (100, 400) if small else (300, 3_000, 30_000)
    return {"rows": rows, "sets": [in_process("benchmarks.many_faces", str(count), here=small) for count in counts]}
