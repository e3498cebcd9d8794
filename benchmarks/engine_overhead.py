"""How much slower a step of the engine is than a loop written by hand with the same networks, losses and updates.

::

    python benchmarks/engine_overhead.py recipes/sft_pix2pixhd.yaml --steps 12

Both train the recipe's networks on the same batches with the same losses, in turn, so that whatever else the machine does
meets both. The hand-written loop does what the losses of the recipe ask for and nothing else: no guard, no seeding, no
average unless ``--ema``, no log, no samples, no checkpoints. The medians of the seconds a step are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from facekit.data import FaceLoader
from facekit.engine.distributed import Team
from facekit.engine.loop import Training
from facekit.engine.model import build_model
from facekit.engine.open_data import open_data
from facekit.engine.players import build_losses
from facekit.engine.precision import choose_precision
from facekit.engine.run_folder import RunFolder
from facekit.engine.step import GeneratorPass, TrainingStep, make_networks
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry, load_registry


class BareLoop:
    """Two optimisers, two backward passes, one forward pass of the generator."""

    def __init__(self, recipe: ResolvedRecipe, registry: Registry) -> None:
        self.packed = open_data(recipe, registry)
        labels = {"label_map": self.packed.label_map, "attribute_names": self.packed.attribute_names}
        self.precision = choose_precision(recipe.train)
        self.model = self.precision.place(build_model(recipe, **labels)).train()
        self.networks = make_networks(recipe, self.model, self.precision, label_maps={}, compile=False)
        self.losses = build_losses(recipe, precision=self.precision, **labels)
        settings = recipe.train.optimiser
        self.of_generator = [
            parameter
            for slot in ("style_encoder", "generator")
            if (network := self.model.slot(slot)) is not None
            for parameter in network.parameters()
        ]
        self.of_discriminator = list(self.model.discriminator.parameters())
        self.optimisers = [
            torch.optim.Adam(parameters, lr=settings.lr, betas=settings.betas, fused=True)
            for parameters in (self.of_discriminator, self.of_generator)
        ]
        self.loader = FaceLoader(
            self.packed, self.packed.rows("train"), batch=recipe.train.batch, seed=recipe.train.seed
        )
        self.index = 0

    def step(self) -> float:
        """Do one step; return its seconds, without the time to make the batch."""
        batch = self.loader.batch(self.index)
        began = time.perf_counter()
        made = GeneratorPass(self.networks, self.precision.place_batch(batch), torch.enable_grad)
        for player, parameters, other, optimiser in (
            ("discriminator", self.of_discriminator, self.of_generator, self.optimisers[0]),
            ("generator", self.of_generator, self.of_discriminator, self.optimisers[1]),
        ):
            step = TrainingStep(index=self.index, player=player, networks=self.networks, made=made, seed=(0, player))
            for parameter in other:
                parameter.requires_grad_(False)
            for parameter in parameters:
                parameter.requires_grad_(True)
            if player == "discriminator":
                for parameter in other:  # the pass of the generator is recorded for its own turn
                    parameter.requires_grad_(True)
            total = torch.stack([loss(step) for loss in self.losses[player]]).sum()
            total.backward()
            optimiser.step()
            optimiser.zero_grad()
        self.index += 1
        return time.perf_counter() - began


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    registry = load_registry()
    recipe = read_recipe(options.recipe, registry=registry, overrides=[*options.overrides, "data.workers=0"])
    settings = recipe.train.model_copy(update={"steps": options.steps + 2, "epochs": None})
    recipe = replace(recipe, train=settings)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        bare = BareLoop(recipe, registry)
        with run.owned():
            engine = Training(
                recipe,
                run,
                registry=registry,
                observer=None,
                command="benchmark",
                evaluate=None,
                progress=None,
                packed=bare.packed,
                team=Team(),
                resume=False,
            )
            seconds: dict[str, list[float]] = {"bare": [], "engine": []}
            for index in range(options.steps + 2):
                own = bare.step()
                faces = iter([engine.loader.batch(index)])
                began = time.perf_counter()
                engine._step(index, faces)
                if index >= 2:  # the first steps choose kernels
                    seconds["engine"].append(time.perf_counter() - began)
                    seconds["bare"].append(own)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    overhead = statistics.median(e / b for e, b in zip(seconds["engine"], seconds["bare"], strict=True)) - 1
    print(
        json.dumps(
            {
                "recipe": str(options.recipe),
                "steps": options.steps,
                "threads": torch.get_num_threads(),
                "bare_seconds_per_step": round(medians["bare"], 4),
                "engine_seconds_per_step": round(medians["engine"], 4),
                "median_overhead": round(overhead, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
