"""MSG-ProGAN: parameters as published, and what reaches what."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from facekit_msggan.networks import MsgProGanDiscriminator, MsgProGanGenerator


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [(64, 22_490_383, 18_364_161), (128, 22_933_394, 18_659_329), (256, 23_044_309, 18_733_185)],
)
def test_the_published_networks_have_these_many_parameters(size: int, generator: int, discriminator: int) -> None:
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        assert count(MsgProGanGenerator(512, size)) == generator
        assert count(MsgProGanDiscriminator(512, size)) == discriminator


def test_every_size_moves_the_score() -> None:
    torch.manual_seed(0)
    network = MsgProGanDiscriminator(16, 32)
    sizes = tuple(torch.randn(3, 3, side, side, requires_grad=True) for side in (32, 16, 8, 4))
    network.score(sizes).sum().backward()
    assert all(image.grad is not None and bool(image.grad.any()) for image in sizes)


def test_faces_depend_on_the_direction_of_the_latent_vector_alone() -> None:
    torch.manual_seed(0)
    network = MsgProGanGenerator(16, 16)
    latent = torch.randn(2, 16)
    with torch.no_grad():
        one, twice, other = (network.sizes(each)[-1] for each in (latent, 2 * latent, latent.flip(1)))
    torch.testing.assert_close(one, twice)
    assert float((one - other).abs().mean()) > 1e-3
