"""Gradients of grouped convolutions are right in training, whatever the memory order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from facekit.recipe import read_recipe
from facekit.registry import PluginSet, Registry
from facekit.training import convolution_guard, loop
from facekit.training.convolution_guard import right_gradients, torch_is_wrong
from facekit.training.loop import train

CPU = torch.device("cpu")
PLUGINS = Path(__file__).parent / "plugin"
only_where_torch_is_wrong = pytest.mark.skipif(not torch_is_wrong(), reason="this torch computes right gradients")

RECIPE = """\
facekit: 1
name: modulated
data: {{use: tiny/faces, size: 16, cache: {cache}, workers: 1}}
model:
  style_encoder: {{use: tiny/encoder}}
  generator: {{use: modulated/painter}}
losses:
  generator:
    - {{use: modulated/l1}}
    - {{use: modulated/path_length, weight: 0.1}}
train: {{steps: 1, batch: 4, precision: fp32, device: cpu, channels_last: {last}, activation_checkpointing: {again}}}
"""


def first_moments(folder: Path, *, channels_last: bool, again: bool = False) -> dict[str, Tensor]:
    """Train one step, and return Adam's first moments: the gradients times a constant."""
    plugins = PluginSet({})
    for name in ("tiny_plugin", "modulated_plugin"):
        plugins.load_file(PLUGINS / f"{name}.py")
    registry = Registry(plugins)
    folder.mkdir()
    file = folder / "recipe.yaml"
    text = RECIPE.format(cache=folder / "cache", last=str(channels_last).lower(), again=str(again).lower())
    file.write_text(text, encoding="utf-8")
    train(read_recipe(file, registry=registry), out=folder / "run", registry=registry)
    state = load_file(folder / "run/checkpoints/step-00000001/optimiser.safetensors")
    return {name: value.contiguous() for name, value in state.items() if name.endswith("/exp_avg")}


def off(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, float]:
    """Return the largest difference of each tensor, as a share of its largest value."""
    assert first.keys() == second.keys()
    return {name: float((second[name] - value).abs().max() / value.abs().max()) for name, value in first.items()}


@pytest.mark.parametrize("again", [False, True], ids=["kept", "checkpointed"])
def test_a_step_has_the_same_gradients_in_both_memory_orders(again: bool, tmp_path: Path) -> None:
    usual = first_moments(tmp_path / "usual", channels_last=False, again=again)
    last = first_moments(tmp_path / "last", channels_last=True, again=again)
    assert {"generator.second.weight", "generator.to_image.weight"} <= {name.rpartition("/")[0] for name in usual}
    assert max(off(usual, last).values()) < 1e-4


@only_where_torch_is_wrong
def test_without_the_guard_they_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "right_gradients", lambda device: nullcontext())
    usual = first_moments(tmp_path / "usual", channels_last=False)
    last = first_moments(tmp_path / "last", channels_last=True)
    assert off(usual, last)["generator.to_image.weight/exp_avg"] > 0.1


def plain(call: Callable[..., Tensor], x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(call(x, w).square().sum(), (x, w))


def twice(call: Callable[..., Tensor], x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    (first,) = torch.autograd.grad(call(x, w).square().sum(), w, create_graph=True)
    return torch.autograd.grad(first.square().sum(), (x, w))


def recomputed(call: Callable[..., Tensor], x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(checkpoint(call, x, w, use_reentrant=False).square().sum(), (x, w))


@pytest.mark.parametrize("how", [plain, twice, recomputed])
@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_gradients_do_not_depend_on_strides(dtype: torch.dtype, side: int, how: Callable[..., Any]) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, 12, 6, 6, generator=random).to(dtype)
    w = torch.randn(9, 4, side, side, generator=random).to(dtype)
    odd = x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, (12, 1, 72, 12))
    last = w.to(memory_format=torch.channels_last)
    assert torch.equal(odd, x)
    assert torch.equal(last, w)

    def call(features: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(features, weight, padding=side // 2, groups=3)

    with right_gradients(CPU):
        usual, other = (
            how(call, one.detach().requires_grad_(), two.detach().requires_grad_())
            for one, two in ((x, w), (odd, last))
        )
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 5e-2}[dtype]
    for mine, theirs in zip(usual, other, strict=True):
        assert float((mine - theirs).abs().max()) <= tolerance * float(mine.abs().max())


def test_other_convolutions_are_left_alone() -> None:
    x = torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    w, b = torch.randn(6, 8, 3, 3, requires_grad=True), torch.randn(6, requires_grad=True)
    before = torch.autograd.grad(F.conv2d(x, w, b).square().sum(), (x, w, b))
    up = torch.autograd.grad(F.conv_transpose2d(x, w.transpose(0, 1)).square().sum(), (x, w))
    with right_gradients(CPU):
        after = torch.autograd.grad(F.conv2d(x, w, b).square().sum(), (x, w, b))
        again = torch.autograd.grad(F.conv_transpose2d(x, w.transpose(0, 1)).square().sum(), (x, w))
        # One alone: the others are not asked for.
        (bias,) = torch.autograd.grad(F.conv2d(x.detach(), w.detach(), b).square().sum(), b)
    assert all(
        torch.equal(one, other) for one, other in zip((*before, *up, before[2]), (*after, *again, bias), strict=True)
    )


def registered() -> bool:
    return convolution_guard._library is not None


@only_where_torch_is_wrong
def test_the_kernel_lasts_as_long_as_the_outermost_context() -> None:
    assert not registered()
    with right_gradients(CPU):
        with right_gradients(CPU):
            assert registered()
        assert registered()
    assert not registered()
    with pytest.raises(ValueError, match="inside"), right_gradients(CPU):
        raise ValueError("inside")
    assert not registered()


def test_nothing_is_registered_where_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with right_gradients(torch.device("cuda")):
        assert not registered()
    monkeypatch.setattr(convolution_guard, "torch_is_wrong", lambda: False)
    with right_gradients(CPU):
        assert not registered()


def test_it_needs_no_compiler() -> None:
    code = (
        "import sys, torch; from facekit.training.convolution_guard import right_gradients\n"
        "with right_gradients(torch.device('cpu')): pass\n"
        "assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
