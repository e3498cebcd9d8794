"""Winograd's form of a 3x3 convolution computes what the plain sum computes, forward, backward and twice backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit_layers import convolve, winograd

LAYOUT = torch.channels_last


def made(*, height: int = 6, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Features, weight and bias."""
    torch.manual_seed(0)
    features = (torch.randn(2, 5, height, width) + 1).contiguous(memory_format=LAYOUT)
    return features, torch.randn(7, 5, 3, 3).contiguous(memory_format=LAYOUT), torch.randn(7)


def gradients(compute: object, inputs: list[Tensor]) -> list[Tensor]:
    """The result, its gradients, and those of a penalty on the first of them."""
    inputs = [each.detach().requires_grad_() for each in inputs]
    result = compute(*inputs)
    score = (result * torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)).sum()
    first = torch.autograd.grad(score, inputs, retain_graph=True)
    (slope,) = torch.autograd.grad(score * score, inputs[0], create_graph=True)
    again = torch.autograd.grad(slope.square().sum(), inputs, allow_unused=True)
    return [result, *first, *(each for each in again if each is not None)]


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_results_and_gradients_are_those_of_the_plain_sum(padding: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MANY_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MANY_PLACES", 1)
    inputs = list(made())
    assert winograd.fits(inputs[0], inputs[1], stride=1, padding=padding)
    found = gradients(lambda *given: convolve(*given, padding=padding), inputs)
    assert found[0].is_contiguous(memory_format=LAYOUT)
    assert found[2].is_contiguous(memory_format=LAYOUT)
    exact = gradients(lambda *given: F.conv2d(*given, padding=padding), [each.double() for each in inputs])
    theirs = gradients(lambda *given: F.conv2d(*given, padding=padding), inputs)
    for one, other, true in zip(found, theirs, exact, strict=True):
        scale = true.abs().mean()
        assert (one - true).abs().mean() <= 4 * (other - true).abs().mean() + 1e-6 * scale


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_only_what_is_wanted_gets_a_gradient(frozen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MANY_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MANY_PLACES", 1)
    inputs = [each.requires_grad_(index != frozen) for index, each in enumerate(made())]
    convolve(*inputs).sum().backward()
    assert [each.grad is None for each in inputs] == [index == frozen for index in range(3)]


def test_other_convolutions_are_left_to_torch() -> None:
    features, weight, _ = made()
    assert not winograd.fits(features, weight, stride=1, padding=0)  # few channels
    wide, many = torch.empty(1, 256, 16, 18, device="meta"), torch.empty(256, 256, 3, 3, device="meta")
    wide, many = wide.to(memory_format=LAYOUT), many.to(memory_format=LAYOUT)
    assert winograd.fits(wide, many, stride=1, padding=1)
    assert not winograd.fits(wide, many, stride=2, padding=1)
    assert not winograd.fits(wide, many, stride=1, padding=0)  # few places: 14 times 16
    assert not winograd.fits(wide[:, :, :-1].contiguous(memory_format=LAYOUT), many, stride=1, padding=1)
    assert not winograd.fits(wide.bfloat16(), many.bfloat16(), stride=1, padding=1)
    assert not winograd.fits(wide.contiguous(), many, stride=1, padding=1)
    assert not winograd.fits(wide, torch.empty(256, 256, 4, 4, device="meta"), stride=1, padding=1)
