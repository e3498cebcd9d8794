"""Minibatch deviation, and the scale of layers with equalised rates."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from facekit_layers import EqualisedDense, with_deviation


def test_deviation_is_taken_within_groups_that_divide_the_batch() -> None:
    features = torch.randn(8, 3, 4, 4)
    plane = with_deviation(features, 4)[:, 3]
    for start in (0, 1):
        group = features[start::2]
        expected = (group.var(0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(plane[start::2], expected.expand(4, 4, 4))
    assert with_deviation(torch.randn(6, 3, 4, 4), 4).shape == (6, 4, 4, 4)
    whole = (features.var(0, unbiased=False) + 1e-8).sqrt().mean()
    torch.testing.assert_close(with_deviation(features)[:, 3], whole.expand(8, 4, 4))


def test_a_dense_layer_is_scaled_by_gain_rate_and_inputs() -> None:
    torch.manual_seed(0)
    layer = EqualisedDense(6, 5, rate=0.01)
    torch.nn.init.normal_(layer.bias)
    features = torch.randn(3, 6)
    assert 50 < float(layer.weight.detach().std()) < 200
    expected = F.linear(features, layer.weight * (0.01 * (2 / 6) ** 0.5), layer.bias * 0.01)
    torch.testing.assert_close(layer(features), expected)
