"""What is measured: facekit's training of the main model, and the plain build with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmarks.plain import PlainTraining, copy_weights
from facekit.interfaces import FaceBatch
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry, load_registry
from facekit.training.distributed import Team
from facekit.training.loop import Training
from facekit.training.open_data import open_data
from facekit.training.precision import reproducible
from facekit.training.run.folder import RunFolder

RECIPE = """\
facekit: 1
name: benchmark
data: {{{data}, size: {size}, workers: 0, mirror: false, cache: {cache}}}
model:
  style_encoder: {{use: sft_style, planes: one_hot}}
  generator: {{use: sft_pix2pixhd, filters: {filters}, blocks: 4}}
  discriminator: {{use: multiscale_patch, filters: {filters}, scales: 2}}
losses:
  generator: [{{use: adversarial, objective: lsgan}}, {{use: feature_matching, weight: 10}}]
  discriminator: [{{use: adversarial, objective: lsgan}}]
train:
  steps: {steps}
  batch: {batch}
  seed: {seed}
  device: {device}
  precision: {precision}
  compile: {compile}
  cuda_graphs: {cuda_graphs}
  deterministic: {deterministic}
  schedule: {{use: constant}}
  ema: {{decay: {average}}}
  activation_checkpointing: {checkpointing}
"""

DRAWN = "use: synthetic_faces, train: 32, validation: 2, test: 2"


@dataclass(frozen=True)
class Case:
    """A size of the main model and its data.

    Args:
        size: picture side.
        batch: pictures a step.
        filters: filters of generator and discriminator.
        steps: steps of the run, for the schedule.
        seed: seed of the run.
        average: decay of the averaged weights; 0 for none, as published code has none.
        data: the recipe's dataset.
        checkpointing: compute activations again in place of keeping them.
        device: where it is trained.
        precision: ``auto``, ``fp32`` or ``bf16``, as in a recipe.
        compile: compile the networks.
        cuda_graphs: replay them as CUDA graphs.
        deterministic: the same numbers each time on CUDA.
    """

    size: int
    batch: int
    filters: int = 64
    steps: int = 1000
    seed: int = 0
    average: float = 0.0
    data: str = DRAWN
    checkpointing: bool = False
    device: str = "cpu"
    precision: str = "auto"
    compile: bool = False
    cuda_graphs: bool = False
    deterministic: bool = False

    def recipe(self, folder: Path, registry: Registry) -> ResolvedRecipe:
        """Return the recipe; its cache lies in ``folder``."""
        return read_recipe(self.write(folder), registry=registry)

    def write(self, folder: Path) -> Path:
        """Write the recipe into ``folder``, where its cache lies too, and return the file."""
        file = folder / "benchmark.yaml"
        said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in vars(self).items()}
        file.write_text(RECIPE.format(cache=folder / "cache", **said), encoding="utf-8")
        return file


class Facekit:
    """A run of facekit that is trained one step at a time.

    Args:
        recipe: what it trains.
        folder: where its run folder is made.
        registry: the components.
    """

    def __init__(self, recipe: ResolvedRecipe, folder: Path, registry: Registry) -> None:
        run = folder / "run"
        run.mkdir()
        self.training = Training(
            recipe,
            RunFolder(run),
            registry=registry,
            observer=None,
            command="benchmark",
            evaluate=None,
            progress=None,
            packed=open_data(recipe, registry),
            watched=False,
            team=Team(),
            resume=False,
        )
        assert recipe.train.steps is not None
        self._faces: Iterator[FaceBatch] = self.training.loader.prefetch(0, recipe.train.steps)
        self._done = 0

    @staticmethod
    def of(case: Case, folder: Path) -> Facekit:
        """Return a run of a case."""
        registry = load_registry()
        return Facekit(case.recipe(folder, registry), folder, registry)

    def step(self) -> dict[str, float]:
        """Train a step; return the weighted losses."""
        self.training.guard.reset()
        self.go_on()
        self.training.guard.settle()
        return self.training.guard.means()

    def go_on(self) -> None:
        """Train a step as a run does, which waits for no device."""
        with reproducible(self.training.precision.device, self.training.settings.deterministic):
            self.training._step(self._done, self._faces, checking=self._done == 0)
        self._done += 1

    def pictures(self, index: int) -> tuple[Tensor, Tensor]:
        """Return photos and masks of a step."""
        batch = self.training.loader.batch(index)
        return batch.image, batch.mask


class Plain:
    """The plain build, with the weights and the data that a run of facekit begins with."""

    def __init__(self, case: Case, beside: Facekit) -> None:
        model = beside.training.model
        self.training = PlainTraining(case.filters, device=case.device)
        for source, plain in (
            (model.get_submodule("style_encoder"), self.training.encoder),
            (model.get_submodule("generator"), self.training.generator),
            (model.get_submodule("discriminator"), self.training.discriminator),
        ):
            copy_weights(source, plain)
        self._beside = beside
        self._done = 0

    def step(self) -> dict[str, float]:
        """Train a step; return the weighted losses under facekit's names."""
        photo, mask = self._beside.pictures(self._done)
        self._done += 1
        losses = self.training.step(photo, mask)
        return {
            "generator/adversarial": losses.adversarial,
            "generator/feature_matching": losses.feature_matching,
            "discriminator/adversarial": losses.discriminator,
        }
