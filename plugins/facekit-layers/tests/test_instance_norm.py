"""Instance norm in one pass: the numbers and gradients are those of the definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit_layers import instance_norm
from facekit_layers.norm import adaptive_norm

SLOPES = [None, 0.0, 0.2]


def defined(features: Tensor, scale: Tensor | None, shift: Tensor | None, slope: float | None) -> Tensor:
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    result = (features - mean) / (variance + 1e-5).sqrt()
    if scale is not None and shift is not None:
        result = result * scale[:, :, None, None] + shift[:, :, None, None]
    return result if slope is None else F.leaky_relu(result, slope)


def features_of(dtype: torch.dtype) -> Tensor:
    made = torch.randn(3, 6, 9, 14, generator=torch.Generator().manual_seed(1)) * 3 + 2
    return made.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def in_one_pass(result: Tensor) -> bool:
    return "NormInOnePass" in type(result.grad_fn).__name__


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 3e-2)])
def test_numbers_and_gradients_are_those_of_the_definition(
    adaptive: bool, slope: float | None, dtype: torch.dtype, tolerance: float
) -> None:
    features = features_of(dtype)
    scale, shift = (torch.randn(3, 6).requires_grad_() if adaptive else None for _ in range(2))
    result = instance_norm(features, scale=scale, shift=shift, slope=slope)
    assert in_one_pass(result)
    assert result.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn(result.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    inputs = [each for each in (features, scale, shift) if each is not None]
    found = torch.autograd.grad(result, inputs, upstream)

    exact = [each.detach().double().requires_grad_() for each in inputs]
    expected = defined(exact[0], *(exact[1:] or (None, None)), slope)
    wanted = torch.autograd.grad(expected, exact, upstream.double())
    for ours, theirs in zip([result, *found], [expected, *wanted], strict=True):
        scale = theirs.abs().max().clamp_min(1)
        assert (ours.double() - theirs).abs().max() <= tolerance * scale


@pytest.mark.parametrize("slope", SLOPES)
def test_the_gradient_can_be_differentiated_again(slope: float | None) -> None:
    def penalty(features: Tensor, norm: object) -> Tensor:
        result = norm(features, slope=slope)
        (slopes,) = torch.autograd.grad((result**3).sum(), features, create_graph=True)
        return slopes.square().sum()

    features = features_of(torch.float32)
    (found,) = torch.autograd.grad(penalty(features, instance_norm), features)
    exact = features.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(penalty(exact, lambda features, slope: defined(features, None, None, slope)), exact)
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def test_other_orders_and_types_are_normalised_too() -> None:
    features = features_of(torch.float32).detach().contiguous().requires_grad_()
    result = instance_norm(features, slope=0.2)
    assert not in_one_pass(result)
    assert result.is_contiguous()
    torch.testing.assert_close(result, instance_norm(features_of(torch.float32), slope=0.2), rtol=1e-5, atol=1e-5)
    assert instance_norm(features.double(), slope=None).dtype == torch.float64
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        instance_norm(torch.zeros(2, 3, 1, 1).contiguous(memory_format=torch.channels_last))


def test_a_batch_of_one_and_one_channel() -> None:
    for shape in [(1, 6, 9, 14), (2, 1, 8, 8), (1, 3, 1, 5)]:
        features = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
        result = instance_norm(features, slope=0.0)
        torch.testing.assert_close(result, defined(features, None, None, 0.0), rtol=1e-4, atol=1e-4)
        result.sum().backward()
        assert features.grad is not None


def test_scale_and_shift_can_be_weights_of_a_batch_norm() -> None:
    features = features_of(torch.float32).detach().contiguous().requires_grad_()
    scale, shift = (torch.randn(3, 6).requires_grad_() for _ in range(2))
    results = adaptive_norm(features, scale, shift), defined(features, scale, shift, None)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
    gradients = [torch.autograd.grad((result**3).sum(), (features, scale, shift)) for result in results]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-3)
