"""What ``auto`` means: number format, memory layout, CUDA graphs and compiling; and weights in bf16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from facekit.interfaces import FacekitError
from facekit.recipe.settings import TrainSettings
from facekit.training.precision import (
    HalfWeights,
    accelerate,
    choose_number_format,
    choose_precision,
    lies_channels_last,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "faster"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, False),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({}, False),
    ],
    ids=["AMX", "AVX512 only", "ARM", "neither"],
)
def test_auto_is_bf16_where_the_processor_multiplies_faster_in_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], faster: bool
) -> None:
    # Stands for processors that this machine is not.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_number_format("auto", CPU) == ("bf16" if faster else "fp32")
    chosen = choose_precision(TrainSettings(steps=1, device="cpu"))
    assert chosen.name == choose_number_format("auto", CPU)


@pytest.mark.parametrize("setting", ["fp32", "bf16"])
def test_what_a_recipe_says_holds_on_every_processor(setting: str) -> None:
    assert choose_precision(TrainSettings(steps=1, device="cpu", precision=setting)).name == setting


@pytest.mark.parametrize(
    ("size", "settings", "compiled", "graphs", "said"),
    [
        (256, {"steps": 5000}, False, True, "CUDA graphs, since 4 images of 256 pixels"),
        (1024, {"steps": 5000}, True, False, "compiled, since 4 images of 1024 pixels"),
        (1024, {"steps": 500}, False, True, "CUDA graphs"),
        (1024, {"steps": 5000, "compile": False}, False, True, "CUDA graphs"),
        (256, {"steps": 50}, False, False, "50 steps are too few"),
        (256, {"steps": 5000, "activation_checkpointing": True}, False, False, "activation_checkpointing is on"),
        (256, {"steps": 5000, "compile": True}, True, False, "compiled, as the recipe says"),
        (256, {"steps": 5, "cuda_graphs": True}, False, True, "CUDA graphs, as the recipe says"),
        (256, {"steps": 5000, "compile": False, "cuda_graphs": False}, False, False, ""),
    ],
)
def test_what_is_recorded_or_compiled_is_chosen_by_device_size_and_length(
    size: int, settings: dict[str, Any], compiled: bool, graphs: bool, said: str
) -> None:
    chosen = TrainSettings(batch=4, **settings)
    found = accelerate(chosen, CUDA, size=size, steps=settings["steps"])
    assert (found.compile, found.cuda_graphs) == (compiled, graphs)
    assert said in found.why
    assert bool(found.why) == bool(said)
    assert found.chosen is ((compiled or graphs) and "recipe" not in said)


def test_on_a_processor_nothing_is_chosen_and_graphs_are_refused() -> None:
    found = accelerate(TrainSettings(steps=5000), CPU, size=1024, steps=5000)
    assert (found.compile, found.cuda_graphs, found.why) == (False, False, "")
    with pytest.raises(FacekitError, match=r"cuda_graphs is on, and this run computes on the CPU"):
        choose_precision(TrainSettings(steps=5, device="cpu", cuda_graphs=True))


def test_images_lie_channels_last_on_a_processor() -> None:
    assert [lies_channels_last("auto", device) for device in (CPU, CUDA)] == [True, False]
    assert lies_channels_last(True, CUDA)
    assert not lies_channels_last(False, CPU)


def test_copies_in_bf16_follow_the_weights_and_share_all_else() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    half = HalfWeights(model)
    images = torch.randn(2, 3, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(half.model(images), model.eval()(images)) is False  # one of them updates its statistics
        model.train()
        assert torch.equal(half.model(images), model(images))
    assert half.model[0].weight.dtype == half.model[3].bias.dtype == torch.bfloat16
    assert half.model[1].weight is model[1].weight
    assert half.model[1].running_mean is model[1].running_mean
    assert len(half.copies) == 4
    with torch.no_grad():
        model[0].weight.add_(1)
    half.renew()
    assert torch.equal(half.model[0].weight, model[0].weight.bfloat16())
