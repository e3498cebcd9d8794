"""Winograd's form of a 3x3 convolution computes what the plain sum computes, forward, backward and twice backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit_layers import ReflectedConvolution, winograd

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


def test_results_and_gradients_are_those_of_the_plain_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MANY_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MANY_PLACES", 1)
    inputs = list(made())
    assert winograd.fits(inputs[0], inputs[1])
    found = gradients(winograd.convolve, inputs)
    assert found[0].is_contiguous(memory_format=LAYOUT)
    assert found[2].is_contiguous(memory_format=LAYOUT)
    exact = gradients(F.conv2d, [each.double() for each in inputs])
    theirs = gradients(F.conv2d, inputs)
    for one, other, true in zip(found, theirs, exact, strict=True):
        scale = true.abs().mean()
        assert (one - true).abs().mean() <= 4 * (other - true).abs().mean() + 1e-6 * scale


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_only_what_is_wanted_gets_a_gradient(frozen: int) -> None:
    inputs = [each.requires_grad_(index != frozen) for index, each in enumerate(made())]
    winograd.convolve(*inputs).sum().backward()
    assert [each.grad is None for each in inputs] == [index == frozen for index in range(3)]


def test_a_wide_reflected_convolution_is_computed_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MANY_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MANY_PLACES", 1)
    torch.manual_seed(0)
    layer = ReflectedConvolution(5, 7, kernel=3).to(memory_format=LAYOUT)
    features = made()[0]
    found = layer(features)
    assert "ConvolutionBackward" in type(found.grad_fn).__name__
    assert type(found.grad_fn).__name__ != "ConvolutionBackward0"  # torch's own
    padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(found, F.conv2d(padded, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(features).dtype == torch.bfloat16


def test_other_convolutions_are_left_to_torch() -> None:
    features, weight, _ = made()
    assert not winograd.fits(features, weight)  # few channels
    wide, many = torch.empty(1, 256, 18, 20), torch.empty(256, 256, 3, 3)
    wide, many = wide.to(memory_format=LAYOUT), many.to(memory_format=LAYOUT)
    assert winograd.fits(wide, many)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not winograd.fits(wide, many)
    assert not winograd.fits(wide[:, :, 2:].contiguous(memory_format=LAYOUT), many[:, :, :, :2])
    assert not winograd.fits(wide[:, :, 4:].contiguous(memory_format=LAYOUT), many)  # few places: 12 times 18
    assert not winograd.fits(wide[:, :, :-1].contiguous(memory_format=LAYOUT), many)
    assert not winograd.fits(wide.bfloat16(), many.bfloat16())
    assert not winograd.fits(wide.contiguous(), many)
    assert not winograd.fits(wide, torch.empty(256, 256, 4, 4).to(memory_format=LAYOUT))
