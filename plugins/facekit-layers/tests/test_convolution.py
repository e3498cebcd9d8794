"""The convolutions compute what torch's own layers compute, forward, backward and twice backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import HalvingConvolution, ReflectedConvolution, ResizeConvolution, doubling_convolution
from facekit_layers.convolution import FEW_PLACES
from facekit_layers.reflection import reflect_repeatably

Plain = Callable[[nn.Module, Tensor], Tensor]


def reflected(layer: nn.Module, features: Tensor) -> Tensor:
    width = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(features, (width,) * 4, mode="reflect"), layer.weight, layer.bias)


def doubled(layer: nn.Module, features: Tensor) -> Tensor:
    return F.conv_transpose2d(features, layer.weight, layer.bias, 2, 1, 1)


def resized(layer: nn.Module, features: Tensor) -> Tensor:
    return F.conv2d(F.interpolate(features, scale_factor=2), layer.weight, layer.bias, 1, 1)


CASES = {
    "reflected 3": (lambda: ReflectedConvolution(6, 5, kernel=3), reflected),
    "reflected 7": (lambda: ReflectedConvolution(6, 5, kernel=7), reflected),
    "to few channels": (lambda: ReflectedConvolution(6, 3, kernel=7), reflected),
    "doubling": (lambda: doubling_convolution(6, 5, "transposed"), doubled),
    "resize": (lambda: ResizeConvolution(6, 5), resized),
}


def gradients(compute: Plain, layer: nn.Module, features: Tensor) -> list[Tensor]:
    """The result, the gradients of features, weight and bias, and those of a penalty on the first of them."""
    features = features.detach().requires_grad_()
    inputs = [features, *layer.parameters()]
    result = compute(layer, features)
    score = (result * torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)).sum()
    first = torch.autograd.grad(score, inputs, retain_graph=True)
    (slope,) = torch.autograd.grad(score * score, features, create_graph=True)
    return [result, *first, *torch.autograd.grad(slope.square().sum(), inputs)]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_results_and_gradients_are_those_of_torch(case: str, channels_last: bool) -> None:
    make, plain = CASES[case]
    torch.manual_seed(0)
    layer = make().double()
    features = torch.randn(2, 6, 8, 8, dtype=torch.float64)
    if channels_last:
        layer = layer.to(memory_format=torch.channels_last)
        features = features.contiguous(memory_format=torch.channels_last)
    found = gradients(lambda layer, features: layer(features), layer, features)
    wanted = gradients(plain, layer, features)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_few_channels_in_a_width_that_is_no_multiple_of_the_places_at_once() -> None:
    make, plain = CASES["to few channels"]
    torch.manual_seed(0)
    layer, features = make().double(), torch.randn(2, 6, 8, 7, dtype=torch.float64)
    found = gradients(lambda layer, features: layer(features), layer, features)
    for one, other in zip(found, gradients(plain, layer, features), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("case", CASES)
def test_bf16_is_as_close_to_exact_as_torch_is(case: str) -> None:
    make, plain = CASES[case]
    torch.manual_seed(0)
    layer = make().to(memory_format=torch.channels_last)
    features = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)

    def first(compute: Plain, *, autocast: bool) -> list[Tensor]:
        given = features.detach().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            result = compute(layer, given)
        score = (result.float() * torch.linspace(-1, 1, result.numel()).view_as(result)).sum()
        return [result.float(), *torch.autograd.grad(score, [given, *layer.parameters()])]

    exact = first(plain, autocast=False)
    found = first(lambda layer, features: layer(features), autocast=True)
    theirs = first(plain, autocast=True)
    for one, other, true in zip(found, theirs, exact, strict=True):
        assert one.dtype == torch.float32
        scale = true.abs().mean()
        assert (one - true).abs().mean() / scale <= 1.5 * (other - true).abs().mean() / scale + 1e-3


@pytest.mark.parametrize("width", [1, 3])
def test_a_repeatable_reflection_is_that_of_torch(width: int) -> None:
    features = torch.randn(2, 3, 7, 9, dtype=torch.float64, requires_grad=True)
    wanted = F.pad(features, (width,) * 4, mode="reflect")
    found = reflect_repeatably(features, width)
    assert torch.equal(found, wanted)
    weights = torch.randn_like(wanted)
    of_found, of_wanted = (torch.autograd.grad((each * weights).sum(), features)[0] for each in (found, wanted))
    torch.testing.assert_close(of_found, of_wanted)
    assert torch.autograd.gradgradcheck(lambda given: reflect_repeatably(given, width), [features])


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", [(2, 2), (4, 4), (2, 8), (8, 8), (16, 16)])
def test_a_halving_convolution_is_a_product_where_few_places_are_left(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = HalvingConvolution(5, 7).double().to(memory_format=layout)
    features = torch.randn(3, 5, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    as_a_product = "Convolution" not in type(layer(features).grad_fn).__name__
    assert as_a_product == (size[0] * size[1] // 4 <= FEW_PLACES)

    def halved(layer: nn.Module, features: Tensor) -> Tensor:
        return F.conv2d(features, layer.weight, layer.bias, stride=2, padding=1)

    found, wanted = gradients(lambda own, given: own(given), layer, features), gradients(halved, layer, features)
    for ours, torchs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, torchs)
