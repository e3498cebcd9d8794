"""How long ``facekit --help`` takes beside ``python -c "import torch"``, in turns on the same machine.

    python benchmarks/startup.py [rounds]

Prints the median of each and their ratio, which is to stay below 0.25.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    """Return the wall time of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Time both commands in turns, after one round that fills the file cache."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    facekit = [str(Path(sys.executable).with_name("facekit")), "--help"]
    torch = [sys.executable, "-c", "import torch"]
    seconds(facekit)
    seconds(torch)
    times = [(seconds(facekit), seconds(torch)) for _ in range(rounds)]
    helping = statistics.median(pair[0] for pair in times)
    importing = statistics.median(pair[1] for pair in times)
    print(f"facekit --help: {helping:.3f} s")
    print(f"import torch:   {importing:.3f} s")
    print(f"ratio:          {helping / importing:.3f}")


if __name__ == "__main__":
    main()
