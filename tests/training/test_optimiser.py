"""Updates of weights: fused, on weights as they lie in memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from facekit.interfaces import NoOptions, Step
from facekit.recipe.resolved import ComponentChoice, Mark, OptimiserChoice, ScheduleChoice, UpdateChoices
from facekit.registry import PluginSet, Registry
from facekit.training.failures import Culprit
from facekit.training.networks import FaceModel
from facekit.training.players import PlayerInTraining, WeightedLoss


def _updates(settings: dict[str, Any]) -> UpdateChoices:
    registry = Registry(PluginSet({"FACEKIT_NO_PLUGINS": "1"}))
    options = {"use": "adam", "lr": 2e-4, **settings}
    component, lr = registry.find("optimiser", options.pop("use")), options.pop("lr")
    constant = registry.find("schedule", "constant")
    nowhere = Mark("", 0, 0, "")
    return UpdateChoices(
        OptimiserChoice(ComponentChoice(component, component.spec.options(**options), "train.optimiser", nowhere), lr),
        ScheduleChoice(ComponentChoice(constant, NoOptions(), "train.schedule", nowhere), 0),
    )


def _player(model: FaceModel, **settings: Any) -> PlayerInTraining:
    def loss(step: Step) -> torch.Tensor:
        raise AssertionError

    return PlayerInTraining(
        name="generator",
        model=model,
        trained=["style_encoder", "generator"],
        losses=[WeightedLoss("none", 1.0, loss, Culprit("the loss"))],
        lr_scale=settings.pop("lr_scale", {}),
        updates=_updates(settings),
        frozen=(),
        steps=10,
        gradient_clip=None,
    )


@pytest.mark.parametrize("use", ["adam", "adamw"])
def test_fused_updates_on_channels_last_weights_equal_plain_ones(use: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 4, 1), nn.ConvTranspose2d(4, 2, 3))
    model = FaceModel({"generator": network.to(memory_format=torch.channels_last)})
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 4, 1), nn.ConvTranspose2d(4, 2, 3))
    plain.load_state_dict(network.state_dict())
    family = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[use]
    reference = family(plain.parameters(), lr=1e-2, betas=(0.5, 0.999), weight_decay=0.01, foreach=False)
    player = _player(model, use=use, lr=1e-2, weight_decay=0.01)
    for index in range(5):
        picture = torch.randn(2, 3, 8, 8)
        for own in (network, plain):
            own(picture).square().mean().backward()
        player.optimiser.update(1.0)
        reference.step()
        reference.zero_grad()
        if index == 2:  # through a checkpoint and back
            player.optimiser.load_state({key: value.clone() for key, value in player.optimiser.state().items()})
    for mine, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_weights_that_lie_in_no_usual_order_are_updated_and_saved_in_their_own_shape() -> None:
    network = nn.Module()
    network.kernel = nn.Parameter(torch.randn(6, 2, 3, 5).permute(3, 1, 0, 2))
    network.matrix = nn.Parameter(torch.randn(4, 7).t())
    network.picture = nn.Parameter(torch.randn(5, 4, 3, 2).to(memory_format=torch.channels_last))
    model = FaceModel({"generator": network})
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    player = _player(model, lr=1e-2)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    player.optimiser.update(1.0)
    for name, weight in network.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name] - 1e-2, atol=1e-5, rtol=0)
        assert weight.grad is None
        assert player.optimiser.state()[f"generator.{name}/exp_avg"].shape == weight.shape


def test_a_weight_that_two_networks_share_is_updated_once() -> None:
    encoder, generator = nn.Linear(2, 2), nn.Linear(2, 2)
    generator.weight = encoder.weight
    player = _player(FaceModel({"generator": generator, "style_encoder": encoder}), lr=1e-2)
    before = encoder.weight.detach().clone()
    with player.trainable(0):
        (encoder(torch.ones(1, 2)) + generator(torch.ones(1, 2))).sum().backward()
    player.optimiser.update(1.0)
    torch.testing.assert_close(encoder.weight.detach(), before - 1e-2)
    assert {name.rpartition("/")[0] for name in player.optimiser.state()} == {
        "style_encoder.weight",
        "style_encoder.bias",
        "generator.bias",
    }


def test_training_imports_no_compiler() -> None:
    """torch.optim's classes do: 1.5 seconds and 150 MB of every run."""
    code = """
import sys
from torch import nn
from facekit.training.optimiser import Optimiser
from facekit.registry.built_in import AdamOptions
network = nn.Linear(2, 2)
optimiser = Optimiser(AdamOptions(), dict(network.named_parameters()), {"weight": 1.0, "bias": 1.0})
network(network.weight).sum().backward()
optimiser.update(1.0)
assert network.weight.grad is None
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_learning_rates_by_place() -> None:
    names = ("generator", "style_encoder", "discriminator")
    model = FaceModel({name: nn.Linear(1, 1) for name in names})
    player = _player(model, lr=1e-3, lr_scale={"style_encoder": 5, "generator.bias": 0.5})
    assert player.learning_rates(0) == pytest.approx({"style_encoder": 5e-3, "generator": 1e-3, "generator.bias": 5e-4})
    assert set(player.parameters) == {
        "style_encoder.weight",
        "style_encoder.bias",
        "generator.weight",
        "generator.bias",
    }
