"""``python -m benchmarks.robustness ATTACK... [--count N] [--seed N]``; prints a table, exits with 1 where one fell."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from benchmarks.robustness import bit_rot, killing, mutated, siege
from benchmarks.robustness.counting import Count

ATTACKS: dict[str, tuple[Callable[..., Count], int]] = {
    "cache": (bit_rot.cache, 1000),
    **{name: (partial(bit_rot.run_folder, name), 1000) for name in bit_rot.RUN_FILES},
    "kills": (killing.kills, 40),
    "recipes": (mutated.recipes, 5000),
    "scripts": (mutated.scripts, 5000),
    "images": (mutated.images, 3000),
    "studio": (siege.studio, 2000),
}
"""By name: the attack, and how often it is tried unless something else is asked for."""


def main() -> int:
    """Make the attacks that are asked for, and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument("attacks", nargs="*", choices=[*ATTACKS, []], metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument("--count", type=int, help="how often each is tried")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    asked = parser.parse_args()
    print("| attack | tried | noticed | harmless | fell | time | |\n|---|---|---|---|---|---|---|")
    fell = 0
    caches = tempfile.mkdtemp(prefix="facekit-robustness-cache-")
    atexit.register(shutil.rmtree, caches, ignore_errors=True)
    os.environ.update(FACEKIT_CACHE=caches, FACEKIT_TENSORBOARD="off")
    for name in asked.attacks or ATTACKS:
        attack, count = ATTACKS[name]
        began = time.perf_counter()
        found = attack(count=asked.count or count, seed=asked.seed)
        print(found.row(time.perf_counter() - began), flush=True)
        for sentence in found.fell[:10]:
            print(f"  {sentence}", file=sys.stderr)
        fell += len(found.fell)
    return 1 if fell else 0


if __name__ == "__main__":
    sys.exit(main())
