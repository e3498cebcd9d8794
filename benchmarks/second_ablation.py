"""How long the second call of a finished ablation takes: nothing is trained, the results are read.

    python benchmarks/second_ablation.py [rows] [rounds]

Finishes a grid of tiny runs in a temporary folder first, which takes a minute or two, then prints the median wall time
of further calls; it is to stay below 3 seconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GRID = """\
ablation: 1
name: second call
base: sft_pix2pixhd
steps: 2
seeds: [0]
set:
  data: {{use: synthetic_faces, size: 32, train: 8, validation: 2, test: 50}}
  model.generator: {{use: sft_pix2pixhd, filters: 4, blocks: 1}}
  model.discriminator: {{use: multiscale_patch, filters: 4}}
  "losses.generator[perceptual]": null
metrics: [{{use: psnr}}, {{use: ssim}}, {{use: style_following}}, {{use: changes_with_reference}}]
rows:
  copy the reference: {{baseline: copy_reference}}
  mean colour per region: {{baseline: mean_colour_per_region}}
{rows}"""


def main() -> None:
    """Finish a grid, then time calls that find it finished."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder, "grid.yaml")
        text = "".join(f"  row {index}: {{set: {{train.optimiser.lr: {index + 1}e-4}}}}\n" for index in range(rows))
        grid.write_text(GRID.format(rows=text), encoding="utf-8")
        command = [
            str(Path(sys.executable).with_name("facekit")),
            "ablate",
            str(grid),
            "--out",
            str(Path(folder, "out")),
        ]
        environment = {**os.environ, "FACEKIT_CACHE": str(Path(folder, "cache"))}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            times.append(time.perf_counter() - start)
    print(
        f"second call of a finished ablation of {rows + 2} rows: {statistics.median(times):.2f} s (median of {rounds})"
    )


if __name__ == "__main__":
    main()
