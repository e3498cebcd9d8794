"""What `upsampling: resize` costs: forward and backward of the main recipe's two doubling layers, in three ways.

::

    OMP_NUM_THREADS=1 python -m benchmarks.upsampling

The published transposed convolutions, pixels repeated and then convolved, and the same as facekit computes it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import in_turns, ratio
from facekit_layers import ResizeConvolution

LAYERS = ((128, 64, 32), (64, 32, 64))
"""Inputs, outputs, and side of the features before each layer, at 128 pixels, 32 filters and two downsamplings."""


def pass_through(network: Callable[[int, int], nn.Module], batch: int) -> Callable[[], None]:
    """Return a call of both layers, forward and backward."""
    both = [
        (
            network(inputs, outputs).to(memory_format=torch.channels_last),
            torch.randn(batch, inputs, side, side).to(memory_format=torch.channels_last).requires_grad_(),
        )
        for inputs, outputs, side in LAYERS
    ]

    def call() -> None:
        for layer, features in both:
            layer(features).sum().backward()

    return call


def main() -> None:
    """Print the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=4)
    chosen = parser.parse_args()
    subjects = {
        "transposed": lambda i, o: nn.ConvTranspose2d(i, o, 3, stride=2, padding=1, output_padding=1),
        "repeated and convolved": lambda i, o: nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, padding=1)
        ),
        "facekit": ResizeConvolution,
    }
    times = in_turns(
        {name: pass_through(layer, chosen.batch) for name, layer in subjects.items()}, rounds=chosen.rounds
    )
    document = {name: timing.document() for name, timing in times.items()}
    gained = ratio(times["repeated and convolved"], times["facekit"])
    print(json.dumps({"seconds": document, "times_as_fast_as_two_steps": gained}, indent=1))


if __name__ == "__main__":
    main()
