"""Do facekit's losses fall as the plain build's do? Trains both on the same faces from the same weights.

::

    python -m benchmarks.curves --faces FOLDER [--size 64] [--batch 4] [--filters 32] [--steps 200] [--device cuda]

Trains the plain build twice, with other weights and another order of the faces, and facekit once, beside the first. The
generator's losses are averaged over windows; how far facekit's curve is from those of the plain build is compared with
how far those are from each other. Prints the windows and both distances (root mean squares) as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.subjects import DRAWN, Case, Facekit, Plain

LOSSES = ("generator/adversarial", "generator/feature_matching")


def smoothed(steps: list[dict[str, float]], window: int) -> np.ndarray:
    """Return the mean of the generator's summed losses in each window."""
    sums = np.array([sum(step[name] for name in LOSSES) for step in steps])
    return sums[: len(sums) // window * window].reshape(-1, window).mean(1)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the root mean square of the difference of two curves."""
    return float(np.sqrt(np.square(one - other).mean()))


def compare(case: Case, *, seeds: tuple[int, int], steps: int, window: int) -> dict[str, Any]:
    """Train all three and return curves and distances."""
    curves: dict[str, np.ndarray] = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            ours = Facekit.of(Case(**{**vars(case), "seed": seed}), Path(name))
            plain = Plain(case, ours)
            curves[f"plain, seed {seed}"] = smoothed([plain.step() for _ in range(steps)], window)
            if seed == seeds[0]:
                curves["facekit"] = smoothed([ours.step() for _ in range(steps)], window)
    first, second = (curves[f"plain, seed {seed}"] for seed in seeds)
    between = distance(first, second)
    off = min(distance(curves["facekit"], first), distance(curves["facekit"], second))
    return {
        "window": window,
        "curves": {name: [round(float(value), 3) for value in curve] for name, curve in curves.items()},
        "between_seeds": between,
        "facekit_from_plain": off,
        "within_the_spread": off <= between,
    }


def main() -> None:
    """Compare the curves and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a folder in CelebAMask-HQ's layout; by default faces are drawn")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--window", type=int, default=25)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    chosen = parser.parse_args()
    data = DRAWN
    if chosen.faces is not None:
        data = f"use: celebamask_hq, root: {chosen.faces}, split: by_index, train: 0-99, validation: 100-101, test: ''"
        data += ", extra: ''"
    case = Case(chosen.size, chosen.batch, chosen.filters, steps=chosen.steps, data=data, device=chosen.device)
    print(json.dumps(compare(case, seeds=(0, 1), steps=chosen.steps, window=chosen.window)))


if __name__ == "__main__":
    main()
