"""How much faster a step of StarGAN is with its own layers than with torch's instance norm and strided convolutions.

::

    OMP_NUM_THREADS=1 python -m benchmarks.stargan_step --rounds 5

The shipped recipe is trained on drawn faces, a step with each in turn, so that whatever else the machine does meets
both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from benchmarks.measure import in_turns, ratio
from benchmarks.subjects import Facekit
from facekit.recipe import read_recipe
from facekit.recipe.library import find_recipe
from facekit.registry import load_registry
from facekit_layers import convolution, norm

RECIPE = """\
facekit: 1
extends: {base}
metrics: []
data: {{workers: 0, train: 64, validation: 8, test: 8, size: {size}, cache: {cache}}}
model: {{discriminator: {{layers: {layers}}}}}
train: {{steps: {steps}, batch: {batch}, device: cpu, evaluate_every: null}}
"""


@contextmanager
def torch_layers() -> Iterator[None]:
    """Compute as torch does while the context lasts."""
    few, chosen = convolution.FEW_PLACES, norm._in_one_pass

    def never(features: Tensor) -> bool:
        return False

    convolution.FEW_PLACES, norm._in_one_pass = 0, never
    try:
        yield
    finally:
        convolution.FEW_PLACES, norm._in_one_pass = few, chosen


def measure(*, rounds: int, size: int, batch: int) -> dict[str, object]:
    """Return the seconds of a step with either, and how many times as fast ours is."""
    registry = load_registry()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "stargan.yaml"
        values = {"base": find_recipe("stargan", registry=registry), "cache": folder / "cache"}
        # As many strided layers as leave 2x2 places.
        depth = size.bit_length() - 2
        file.write_text(
            RECIPE.format(**values, size=size, layers=depth, steps=2 * rounds + 4, batch=batch), encoding="utf-8"
        )
        recipe = read_recipe(file, registry=registry)
        run = Facekit(recipe, folder, registry)

        def plain() -> None:
            with torch_layers():
                run.step()

        times = in_turns({"torch": plain, "ours": run.step}, rounds=rounds)
        return {
            "size": size,
            "batch": batch,
            **{f"{name}_seconds": timing.document() for name, timing in times.items()},
            "times_as_fast": ratio(times["torch"], times["ours"]),
        }


def main() -> None:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    chosen = parser.parse_args()
    print(json.dumps(measure(rounds=chosen.rounds, size=chosen.size, batch=chosen.batch), indent=1))


if __name__ == "__main__":
    main()
