"""Which number format ``auto`` means."""

from __future__ import annotations

import pytest
import torch

from facekit.recipe.settings import TrainSettings
from facekit.training.precision import choose_number_format, choose_precision, multiplies_faster_in_bf16

CPU = torch.device("cpu")


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
    assert multiplies_faster_in_bf16(CPU) is faster
    assert choose_number_format("auto", CPU) == ("bf16" if faster else "fp32")
    chosen = choose_precision(TrainSettings(steps=1, device="cpu"))
    assert chosen.name == choose_number_format("auto", CPU)


@pytest.mark.parametrize("setting", ["fp32", "bf16"])
def test_what_a_recipe_says_holds_on_every_processor(setting: str) -> None:
    assert choose_precision(TrainSettings(steps=1, device="cpu", precision=setting)).name == setting
