"""A training step of the main model never waits for a number on the device, and makes nothing on another device.

No GPU is needed: on torch's ``meta`` device tensors have no numbers, so that reading one fails, as does mixing in a
tensor of the processor's. What CUDA itself computes is not tried here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facekit.interfaces import FaceBatch, Player, Reference
from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.network_call import RunNetworks
from facekit.training.networks import build_model
from facekit.training.players import build_losses, build_players
from facekit.training.precision import Precision
from facekit.training.step import BatchMemory, TrainingStep

RECIPE = """\
facekit: 1
name: meta
data: {use: synthetic_faces, size: 64, train: 4, validation: 2, test: 2}
model:
  style_encoder: {use: sft_style, head_hidden: 8}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1, adain_decoder: true}
  discriminator: {use: multiscale_patch, filters: 4, scales: 2}
losses:
  generator:
    - {use: adversarial, objective: lsgan, shuffled_style: true}
    - {use: feature_matching, weight: 10}
    - {use: l1}
  discriminator:
    - {use: adversarial, objective: lsgan, shuffled_style: true}
train: {steps: 1, batch: 2}
"""


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_step_reads_no_number_and_stays_on_the_device(tmp_path: Path, channels_last: bool) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    registry = load_registry()
    recipe = read_recipe(file, registry=registry)
    precision = Precision(torch.device("meta"), "fp32", channels_last)
    label_map = registry.label_maps["celebamask_hq"]
    model = precision.place(build_model(recipe, label_map=label_map, attribute_names=())).train()
    losses = build_losses(recipe, precision=precision, label_map=label_map, attribute_names=())
    networks = RunNetworks(model, precision, recipe=recipe, label_maps=registry.label_maps)
    players = build_players(recipe, model=model, losses=losses, steps=1)
    image, mask = meta(2, 3, 64, 64), meta(2, 64, 64, dtype=torch.int64)
    batch = precision.place_batch(FaceBatch(image, ("a", "b"), mask, Reference(image, mask)))
    generator = players["generator"]
    memory = BatchMemory(batch)
    order: tuple[Player, ...] = ("discriminator", "generator")
    for name in order:
        step = TrainingStep(
            index=0,
            player=name,
            trained=players[name].trained,
            networks=networks,
            memory=memory,
            seed=(0, name),
            later=lambda: generator.trainable(0),
        )
        with players[name].trainable(0):
            total = torch.zeros((), device="meta")
            for loss in players[name].losses:
                total = total + loss(step)
            total.backward(inputs=list(players[name].parameters.values()))
        assert all(
            parameter.grad is not None and parameter.grad.device.type == "meta"
            for parameter in players[name].parameters.values()
        )
    with pytest.raises(RuntimeError):
        total.item()  # so the passes above would have failed had they read one
