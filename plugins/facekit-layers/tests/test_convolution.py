"""The convolutions compute what torch's own layers compute, forward, backward and twice backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from facekit_layers import (
    DoublingConvolution,
    HalvingConvolution,
    ReflectedConvolution,
    ResizeConvolution,
    products,
)
from facekit_layers.reflection import reflect_repeatably

Plain = Callable[[nn.Module, Tensor], Tensor]


def reflected(layer: nn.Module, features: Tensor) -> Tensor:
    width = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(features, (width,) * 4, mode="reflect"), layer.weight, layer.bias)


def halved(layer: nn.Module, features: Tensor) -> Tensor:
    return F.conv2d(features, layer.weight, layer.bias, 2, 1)


def doubled(layer: nn.Module, features: Tensor) -> Tensor:
    return F.conv_transpose2d(features, layer.weight, layer.bias, 2, 1, 1)


def resized(layer: nn.Module, features: Tensor) -> Tensor:
    return F.conv2d(F.interpolate(features, scale_factor=2), layer.weight, layer.bias, 1, 1)


CASES = {
    "reflected 3": (lambda: ReflectedConvolution(6, 5, kernel=3), reflected),
    "reflected 7": (lambda: ReflectedConvolution(6, 5, kernel=7), reflected),
    "to few channels": (lambda: ReflectedConvolution(6, 3, kernel=7), reflected),
    "halving": (lambda: HalvingConvolution(6, 5), halved),
    "doubling": (lambda: DoublingConvolution(6, 5), doubled),
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


@pytest.mark.parametrize("few_places", [0, 1 << 30])
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_many_weights_are_products_of_matrices(
    case: str, few_places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "FEW_PLACES", few_places)
    monkeypatch.setattr(products, "FEW_PLACES_FORWARD", few_places)  # many: the convolutions too are products
    make, plain = CASES[case]
    torch.manual_seed(0)
    layer = make().to(memory_format=torch.channels_last)
    features = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    wanted = gradients(plain, layer, features)[:4]
    monkeypatch.setattr(products, "MANY_WEIGHTS", 1)
    found = gradients(lambda layer, features: layer(features), layer, features)[:4]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("many", [1, 1 << 30])
@pytest.mark.parametrize("case", CASES)
def test_bf16_is_as_close_to_exact_as_torch_is(case: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "MANY_WEIGHTS", many)  # 1: every gradient of weights as a product of matrices
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


def test_a_doubling_convolution_has_one_size() -> None:
    with pytest.raises(ValueError, match="one output size"):
        DoublingConvolution(2, 2)(torch.zeros(1, 2, 4, 4), [7, 7])


@pytest.mark.parametrize("case", CASES)
def test_weights_that_are_not_trained_are_cast_once_until_they_change(case: str) -> None:
    make, _ = CASES[case]
    layer = make().to(memory_format=torch.channels_last)
    features = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)

    def paint(*, grad: bool) -> Tensor:
        with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype=torch.bfloat16):
            result: Tensor = layer(features)
        return result.detach()

    trained = paint(grad=True)
    assert layer._kept is None
    assert torch.equal(paint(grad=False), trained)
    kept = layer._kept
    assert torch.equal(paint(grad=False), trained)
    assert layer._kept is kept
    with torch.no_grad():
        layer.weight.mul_(2)
    assert torch.equal(paint(grad=False), paint(grad=True))
    layer.load_state_dict(make().state_dict())
    assert torch.equal(paint(grad=False), paint(grad=True))
    assert set(layer.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("outputs", [3, 5])
def test_padded_features_are_not_kept(outputs: int) -> None:
    layer = ReflectedConvolution(6, outputs, kernel=7)
    features = torch.randn(2, 6, 8, 8, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        layer(features)
    assert sorted(map(tuple, (each.shape for each in kept))) == sorted([(2, 6, 8, 8), (outputs, 6, 7, 7)])


def test_weights_without_a_place_in_memory_are_cast_each_time() -> None:
    with FakeTensorMode(), warnings.catch_warnings(), torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        warnings.simplefilter("error")  # reading the address of a fake tensor warns
        layer = ReflectedConvolution(6, 5, kernel=3)
        assert layer(torch.zeros(1, 6, 8, 8)).dtype == torch.bfloat16
    assert layer._kept is None
