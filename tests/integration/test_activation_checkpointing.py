"""With ``train.activation_checkpointing`` the networks of every family keep less and train to the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from facekit.interfaces import RunEvent, StepLogged
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry
from facekit.training import precision as engine_recompute
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train
from facekit.training.run.folder import RunFolder

STEPS = 3

RECIPE = """\
facekit: 1
name: checkpointed
data: {{use: synthetic_faces, size: 64, train: 8, validation: 2, test: 2, cache: {cache}}}
{family}
train: {{steps: 3, batch: 2, precision: fp32, device: cpu, samples: 2, checkpoint_every: 2, log_every: 1}}
"""

LOSSES = """\
losses:
  generator: [{use: adversarial}, {use: feature_matching, weight: 10}]
  discriminator: [{use: adversarial}, {use: r1_penalty, every: 1}]
"""

PATCHES = "  discriminator: {use: multiscale_patch, filters: 4}\n"

FAMILIES = {
    "adain": "model:\n  style_encoder: {use: sft_style, colours: true}\n"
    "  generator: {use: sft_pix2pixhd, filters: 4, blocks: 2, adain_decoder: true}\n" + PATCHES + LOSSES,
    "concatenated": "model:\n  style_encoder: {use: sft_style}\n"
    "  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1, adain: false}\n" + PATCHES + LOSSES,
    "pix2pixhd": "model:\n  generator: {use: pix2pixhd_local_enhancer, filters: 4, global_blocks: 1, local_blocks: 1}\n"
    + PATCHES
    + LOSSES,
    "stargan": "model:\n  generator: {use: stargan, filters: 4, blocks: 1}\n"
    "  discriminator: {use: stargan_patch, filters: 4, layers: 4}\n"
    "losses:\n  generator: [{use: adversarial, objective: wasserstein, results: shuffled_attributes}]\n"
    "  discriminator: [{use: adversarial, objective: wasserstein, results: shuffled_attributes},"
    " {use: gradient_penalty, results: shuffled_attributes}]\n",
}

Read = Callable[..., ResolvedRecipe]


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Read:
    def reading(family: str, *overrides: str, checkpointing: bool) -> ResolvedRecipe:
        file = tmp_path / f"{family}.yaml"
        file.write_text(RECIPE.format(cache=tmp_path / "cache", family=FAMILIES[family]), encoding="utf-8")
        on = f"train.activation_checkpointing={str(checkpointing).lower()}"
        return read_recipe(file, registry=registry, overrides=(*overrides, on))

    return reading


@pytest.fixture
def computed_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that were computed a second time."""
    again: list[str] = []
    checkpoint = engine_recompute.checkpoint

    def counting(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
        calls = 0

        def called(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:
                again.append(type(function).__name__)
            return function(*given)

        return checkpoint(called, *arguments, **settings)

    monkeypatch.setattr(engine_recompute, "checkpoint", counting)
    return again


def weights(run: Path) -> dict[str, torch.Tensor]:
    newest = max(RunFolder(run).checkpoints.iterdir())
    assert newest.name.endswith(str(STEPS))
    return {
        f"{file.name}:{name}": tensor
        for file in newest.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


def assert_same(first: Path, second: Path) -> None:
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    assert not [name for name in left if not torch.equal(left[name], right[name])]


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("adain", ()),
        ("adain", ("train.precision=bf16", "train.channels_last=false")),
        ("adain", ("train.accumulate=2", "train.batch=1", "train.turns.discriminator=2")),
        ("concatenated", ("train.freeze=[{part: generator.stem, until: 0.6}]",)),
        ("pix2pixhd", ()),
        ("stargan", ()),
    ],
)
def test_the_weights_are_the_same(
    tmp_path: Path,
    registry: Registry,
    read: Read,
    computed_again: list[str],
    family: str,
    overrides: tuple[str, ...],
) -> None:
    train(read(family, *overrides, checkpointing=False), out=tmp_path / "plain", registry=registry)
    assert not computed_again
    train(read(family, *overrides, checkpointing=True), out=tmp_path / "checkpointed", registry=registry)
    assert computed_again
    assert_same(tmp_path / "plain", tmp_path / "checkpointed")


class Killed(BaseException):
    """Stands for a kill."""


def kill(event: RunEvent) -> None:
    if isinstance(event, StepLogged) and event.step == STEPS:
        raise Killed


def test_resume_is_exact(tmp_path: Path, registry: Registry, read: Read) -> None:
    recipe = read("adain", checkpointing=True)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_estimate_knows_of_it(registry: Registry, read: Read, family: str) -> None:
    kept = probe_shapes(read(family, checkpointing=False), registry=registry)
    again = probe_shapes(read(family, checkpointing=True), registry=registry)
    assert kept.on_fake_tensors
    assert again.on_fake_tensors
    # Penalties keep the discriminator's first backward pass as well, which is much of these small models.
    assert again.memory.activations < 0.95 * kept.memory.activations
    assert again.step_flops == kept.step_flops


def test_the_main_model_keeps_less_than_half(registry: Registry, read: Read) -> None:
    overrides = ("losses.discriminator=[{use: adversarial}]", "model.generator.filters=32", "data.size=256")
    kept, again = (probe_shapes(read("adain", *overrides, checkpointing=on), registry=registry) for on in (False, True))
    assert again.memory.activations < 0.5 * kept.memory.activations


def test_networks_without_such_parts_are_told(tmp_path: Path, registry: Registry, read: Read) -> None:
    # Spectral norm changes a buffer whenever a weight is read, so its layers cannot be computed twice.
    spectral = "model.discriminator.spectral_norm=true"
    told = train(read("adain", spectral, checkpointing=True), out=tmp_path / "run", registry=registry).warnings
    assert [warning for warning in told if "the discriminator keeps all its activations" in warning]
    train(read("adain", spectral, checkpointing=False), out=tmp_path / "plain", registry=registry)
    assert_same(tmp_path / "run", tmp_path / "plain")
