"""Trains a recipe of the tiny plugin in a process of its own: ``drive.py RECIPE RUN [--resume]``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.loop import train


def main() -> None:
    torch.set_num_threads(1)
    recipe, run, resume = Path(sys.argv[1]), Path(sys.argv[2]), "--resume" in sys.argv
    registry = load_registry(Path(__file__).parent / "plugin" / "tiny_plugin.py")
    result = train(
        read_recipe(recipe, registry=registry), out=run, registry=registry, resume=resume, command=" ".join(sys.argv)
    )
    print(result.outcome, result.step)


if __name__ == "__main__":
    main()
