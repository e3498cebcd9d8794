"""StarGAN through the engine: its recipe on tiny faces, exact resume, and mistakes that are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from facekit.interfaces import FacekitError
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import load_registry
from facekit.training.loop import train

RECIPE = Path(__file__).parents[3] / "recipes" / "stargan.yaml"
PAPER = RECIPE.parent / "paper" / "stargan.yaml"
TINY = (
    *("data.size=32", "data.train=6", "data.validation=3", "data.test=2", "data.attributes=[Smiling, Eyeglasses]"),
    *("model.generator.filters=4", "model.generator.blocks=1"),
    *("model.discriminator.filters=4", "model.discriminator.layers=4"),
    *("train.batch=3", "train.steps=4", "train.turns={discriminator: 2}", "train.precision=fp32"),
    *("train.log_every=1", "train.sample_every=4", "train.checkpoint_every=2", "train.samples=2"),
)


@pytest.fixture
def tiny(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(*changes: str) -> ResolvedRecipe:
        settings = (*TINY, f"data.cache={tmp_path / 'cache'}", *changes)
        return read_recipe(RECIPE, registry=load_registry(), overrides=settings)

    return read


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    (folder,) = (path for path in (run / "checkpoints").iterdir() if path.name.endswith(str(step)))
    return {
        f"{file.name}/{name}": tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["losses"] for line in lines if line["event"] == "train"]


def test_resume_is_exact(tiny, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipe = tiny()
    train(recipe, out=tmp_path / "whole", registry=load_registry())
    # A run that is cut off after its second checkpoint: what came later is lost.
    train(recipe, out=tmp_path / "parts", registry=load_registry())
    (last,) = (path for path in (tmp_path / "parts" / "checkpoints").iterdir() if path.name.endswith("4"))
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    resumed = train(recipe, out=tmp_path / "parts", registry=load_registry(), resume=True)
    assert resumed.step == 4
    whole, parts = weights(tmp_path / "whole", 4), weights(tmp_path / "parts", 4)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert set(losses(tmp_path / "whole")[0]) == {
        *("discriminator/adversarial", "discriminator/gradient_penalty", "discriminator/domain_classification"),
        *("generator/adversarial", "generator/domain_classification", "generator/cycle_reconstruction"),
    }
    assert (tmp_path / "whole" / "samples").is_dir()


def test_accumulated_micro_batches_train_too(tiny, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = train(tiny("train.accumulate=2", "train.steps=1"), out=tmp_path / "run", registry=load_registry())
    assert result.step == 1


def test_the_paper_has_the_published_values() -> None:
    recipe = read_recipe(PAPER, registry=load_registry())
    assert (recipe.train.steps, recipe.train.turns, recipe.train.batch) == (40_000, {"discriminator": 5}, 16)
    assert (recipe.train.optimiser.lr, tuple(recipe.train.optimiser.betas)) == (1e-4, (0.5, 0.999))
    assert (recipe.train.schedule.use, recipe.train.schedule.decay_from) == ("facekit/linear_decay@1", 0.5)
    weights = {(loss.player, loss.label): loss.weight for loss in recipe.losses}
    assert weights == {
        ("generator", "adversarial"): 1,
        ("generator", "domain_classification"): 1,
        ("generator", "cycle_reconstruction"): 10,
        ("discriminator", "adversarial"): 1,
        ("discriminator", "gradient_penalty"): 10,
        ("discriminator", "domain_classification"): 1,
    }
    assert recipe.dimensions["attributes"] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.attributes=[]", "needs `attributes`"),
        ("data.attributes=[Smiling, Smilling]", "there is no attribute 'Smilling'"),
        ("train.batch=1", "needs at least 2 photos a step, found 1"),
        ("data.size=40", "needs a multiple of 16, found 40"),
        ("model.discriminator.use=multiscale_patch", "needs `discriminated.class_logits`"),
    ],
)
def test_exception_ports(tiny, change: str, message: str) -> None:  # type: ignore[no-untyped-def]
    changes = [change]
    if "multiscale" in change:
        changes = ["model.discriminator={use: multiscale_patch}"]
    with pytest.raises(FacekitError) as caught:
        tiny(*changes)
    assert message in str(caught.value)
