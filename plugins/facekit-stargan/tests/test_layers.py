"""The layers give the numbers and gradients of the definition, on whichever way they are computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit_stargan.layers import InstanceNorm


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert (ours.double() - theirs).abs().max() <= tolerance * theirs.abs().max().clamp_min(1)


class TestInstanceNorm:
    @staticmethod
    def defined(features: Tensor, scale: Tensor, shift: Tensor, rectified: bool) -> Tensor:
        mean = features.mean((2, 3), keepdim=True)
        variance = (features - mean).square().mean((2, 3), keepdim=True)
        result = (features - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]
        return F.relu(result) if rectified else result

    @staticmethod
    def norm() -> InstanceNorm:
        norm = InstanceNorm(6)
        with torch.no_grad():
            norm.weight.copy_(random(6, seed=3))
            norm.bias.copy_(random(6, seed=4))
        return norm

    @pytest.mark.parametrize("rectified", [False, True])
    @pytest.mark.parametrize(
        ("layout", "dtype", "tolerance"),
        [
            (torch.channels_last, torch.float32, 2e-5),
            (torch.channels_last, torch.bfloat16, 4e-2),
            (torch.contiguous_format, torch.float32, 2e-5),
        ],
    )
    def test_numbers_and_gradients_are_those_of_the_definition(
        self, rectified: bool, layout: torch.memory_format, dtype: torch.dtype, tolerance: float
    ) -> None:
        norm = self.norm().to(dtype)
        features = (random(3, 6, 9, 14) * 3 + 2).to(dtype).contiguous(memory_format=layout).requires_grad_()
        result = norm(features, rectified=rectified)
        assert result.is_contiguous(memory_format=layout)
        inputs = [features, norm.weight, norm.bias]
        upstream = random(*result.shape, seed=2).to(dtype)
        found = torch.autograd.grad(result, inputs, upstream)

        exact = [each.detach().double().requires_grad_() for each in inputs]
        expected = self.defined(exact[0], exact[1], exact[2], rectified)
        wanted = torch.autograd.grad(expected, exact, upstream.double())
        for ours, theirs in zip([result, *found], [expected, *wanted], strict=True):
            close(ours, theirs, tolerance)

    @pytest.mark.parametrize("rectified", [False, True])
    def test_the_gradient_can_be_differentiated_again(self, rectified: bool) -> None:
        def penalty(result: Tensor, features: Tensor) -> Tensor:
            (slopes,) = torch.autograd.grad((result**3).sum(), features, create_graph=True)
            return slopes.square().sum()

        norm = self.norm()
        features = random(2, 6, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
        inputs = [features, norm.weight, norm.bias]
        found = torch.autograd.grad(penalty(norm(features, rectified=rectified), features), inputs)
        exact = [each.detach().double().requires_grad_() for each in inputs]
        expected = self.defined(exact[0], exact[1], exact[2], rectified)
        for ours, theirs in zip(found, torch.autograd.grad(penalty(expected, exact[0]), exact), strict=True):
            assert theirs.abs().max() > 0
            close(ours, theirs, 1e-3)

    def test_a_single_pixel_has_no_variance(self) -> None:
        with pytest.raises(ValueError, match="more than 1 spatial element"):
            InstanceNorm(3)(torch.zeros(2, 3, 1, 1).contiguous(memory_format=torch.channels_last))
