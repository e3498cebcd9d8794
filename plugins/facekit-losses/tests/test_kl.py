"""The divergence of a style's distribution from the standard normal."""

from __future__ import annotations

import torch

from facekit_losses.kl import kl_divergence


def test_kl_is_the_published_sum() -> None:
    mean, log_variance = torch.randn(3, 5).double(), torch.randn(3, 5).double()
    prior = torch.distributions.Normal(torch.zeros(3, 5).double(), torch.ones(3, 5).double())
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(own, prior).sum().float()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected, atol=0, rtol=1e-6)
