"""How much slower a step of the engine is than a loop written by hand with the same networks, losses and updates.

::

    python -m benchmarks.engine_overhead --steps 12

Both train the networks of the default recipe with least squares, feature matching and L1, in bf16, on equal batches, in
turn, so that whatever else the machine does meets both. The hand-written loop has no guard against NaN, no seeding, no
average of the weights, no log. The engine's step has all of them; samples and checkpoints are left out of both.
On a machine with other work to do, run it on one thread (``OMP_NUM_THREADS=1``) and read the processor's time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.subjects import Facekit
from facekit.data.loader import FaceLoader
from facekit.data.store import PackedFaces
from facekit.interfaces import Condition, Generated
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import load_registry
from facekit.training.networks import build_model
from facekit_losses.feature_matching import feature_matching_loss

RECIPE = """\
facekit: 1
extends: {base}
losses:
  generator:
    - {{use: adversarial, objective: lsgan}}
    - {{use: feature_matching, weight: 10}}
    - {{use: l1, weight: 10}}
  discriminator:
    - {{use: adversarial, objective: lsgan}}
metrics: []
data: {{workers: 0, train: 64, validation: 8, test: 8, cache: {cache}}}
train: {{steps: {steps}, precision: bf16, device: cpu}}
"""


class BareLoop:
    """The plainest loop that trains the same."""

    def __init__(self, recipe: ResolvedRecipe, packed: PackedFaces) -> None:
        self.model = build_model(recipe, label_map=packed.label_map, attribute_names=packed.attribute_names)
        self.model = self.model.to(memory_format=torch.channels_last).train()
        settings = recipe.train.optimiser
        self.painting = [*self._weights("style_encoder"), *self._weights("generator")]
        self.judging = self._weights("discriminator")
        self.optimisers = [
            torch.optim.Adam(parameters, lr=settings.lr, betas=settings.betas, fused=True)
            for parameters in (self.judging, self.painting)
        ]
        self.loader = FaceLoader(
            packed, packed.rows("train"), batch=recipe.train.batch, seed=recipe.train.seed, mirror=True
        )

    def _weights(self, name: str) -> list[torch.nn.Parameter]:
        return list(self.model.get_submodule(name).parameters())

    def step(self, index: int) -> None:
        """Do one step."""
        batch = self.loader.batch(index)
        photo, condition = batch.image.contiguous(memory_format=torch.channels_last), batch.condition
        twice = Condition(torch.cat([batch.require_mask()] * 2))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fake = self.model.generate(condition)

        for parameter in self.judging:
            parameter.requires_grad_(True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            both = self.model.discriminate(Generated(torch.cat([photo, fake.image.detach()])), twice)
        of_photo, of_fake = both.split(len(batch))
        loss = torch.zeros(())
        for real_scale, fake_scale in zip(of_photo.scales, of_fake.scales, strict=True):
            real_logits, fake_logits = real_scale.logits.float(), fake_scale.logits.float()
            loss = loss + ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2
        loss.backward()
        self.optimisers[0].step()
        self.optimisers[0].zero_grad()

        for parameter in self.judging:
            parameter.requires_grad_(False)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            of_fake = self.model.discriminate(fake, condition)
            with torch.no_grad():
                of_photo = self.model.discriminate(Generated(photo), condition)
        loss = 10 * feature_matching_loss(of_fake, of_photo) + 10 * (fake.image.float() - photo).abs().mean()
        for scale in of_fake.scales:
            loss = loss + (scale.logits.float() - 1).square().mean()
        loss.backward()
        self.optimisers[1].step()
        self.optimisers[1].zero_grad()


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    warm_up = 2  # the first steps choose kernels
    registry = load_registry()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = Path(__file__).resolve().parent.parent / "recipes" / "sft_pix2pixhd.yaml"
        file = folder / "benchmark.yaml"
        file.write_text(
            RECIPE.format(base=base, cache=folder / "cache", steps=options.steps + warm_up), encoding="utf-8"
        )
        recipe = read_recipe(file, registry=registry)
        engine = Facekit(recipe, folder, registry)
        bare = BareLoop(recipe, engine.training.packed)
        clocks = {"wall": time.perf_counter, "cpu": time.process_time}
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in clocks}
        for index in range(options.steps + warm_up):
            times = [{name: clock() for name, clock in clocks.items()}]
            bare.step(index)
            times.append({name: clock() for name, clock in clocks.items()})
            engine.go_on()
            times.append({name: clock() for name, clock in clocks.items()})
            if index >= warm_up:
                for name in clocks:
                    first, second, third = (clock[name] for clock in times)
                    measured[name].append((second - first, third - second))
    result: dict[str, float] = {"steps": options.steps, "threads": torch.get_num_threads()}
    for name, pairs in measured.items():
        result[f"bare_{name}_seconds_per_step"] = round(statistics.median(own for own, _ in pairs), 4)
        result[f"engine_{name}_seconds_per_step"] = round(statistics.median(ours for _, ours in pairs), 4)
        result[f"{name}_overhead"] = round(statistics.median(ours / own for own, ours in pairs) - 1, 4)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
