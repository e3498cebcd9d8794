"""MSG-StyleGAN against a straight reference: layers, parameters, truncation, what a batch does."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import NO_LABELS, BuildContext, Condition, PortContext
from facekit_msggan.plugin import (
    NOISE_PLANES,
    MsgStyleGanGeneratorOptions,
    MsgStyleGanOptions,
    facekit_components,
)
from facekit_msggan.style_networks import MsgStyleGanDiscriminator, MsgStyleGanGenerator, widths_by_size

SMALL = {"base": 128, "most": 16}
OPTIONS = MsgStyleGanGeneratorOptions(latent=12, mapping_layers=2, truncation=1, **SMALL)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomised(network: nn.Module) -> nn.Module:
    """Numbers that start at zero or one are drawn too, so that each counts."""
    with torch.no_grad():
        for parameter in network.parameters():
            if bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(torch.randn(parameter.shape))
    return network.eval()


def sized(size: int) -> BuildContext:
    return BuildContext(label_map=NO_LABELS, attribute_names=(), size=size)


def leaky(features: Tensor) -> Tensor:
    return torch.maximum(features, 0.2 * features)


def blur(features: Tensor) -> Tensor:
    padded = F.pad(features, (1, 1, 1, 1))
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 16


def condition(batch: int = 3, side: int = 16) -> Condition:
    places = 2 * sum(4**level for level in range(2, side.bit_length()))
    extra = {"latent": torch.randn(batch, 12), NOISE_PLANES: torch.randn(batch, places)}
    return Condition(None, extra=extra)


@torch.no_grad()
def test_the_generator_is_that_of_a_straight_reference() -> None:
    network = randomised(MsgStyleGanGenerator(OPTIONS, sized(16)))
    given = condition()
    w = given.extra["latent"]
    w = w / (w.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in network.mapping:
        # Weights of deviation 100, of which a hundredth counts.
        assert float(layer.weight.std()) > 80
        w = leaky(w @ layer.weight.T * 0.01 * (2 / 12) ** 0.5 + 0.01 * layer.bias)
    features, images, noise = network.start.repeat(3, 1, 1, 1), [], given.extra[NOISE_PLANES]
    for index, layer in enumerate(network.layers):
        if index >= 2 and index % 2 == 0:
            features = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if index:
            features = F.conv2d(features, layer.weight, padding=1) * (2 / (9 * features.shape[1])) ** 0.5
        if index >= 2 and index % 2 == 0:
            features = blur(features)
        side = features.shape[-1]
        plane, noise = noise[:, : side**2].view(3, 1, side, side), noise[:, side**2 :]
        features = leaky(features + plane * layer.strength[:, None, None] + layer.bias[:, None, None])
        mean, variance = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
        style = w @ layer.style.weight.T / 12**0.5 + layer.style.bias
        scale, shift = style[:, : features.shape[1]], style[:, features.shape[1] :]
        features = (features - mean) / (variance + 1e-8).sqrt() * (1 + scale[..., None, None]) + shift[..., None, None]
        if index % 2:
            image = network.images[index // 2]
            kernel = image.weight / features.shape[1] ** 0.5
            images.append(F.conv2d(features, kernel, image.bias))
    assert not noise.numel()
    generated = network(given, None)
    for ours, expected in zip([*reversed(generated.pyramid), generated.image], images, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_the_discriminator_is_that_of_a_straight_reference() -> None:
    network = randomised(MsgStyleGanDiscriminator(MsgStyleGanOptions(**SMALL), sized(16)))
    images = [torch.randn(4, 3, side, side, requires_grad=True) for side in (4, 8, 16)]

    def convolved(layer: nn.Module, features: Tensor, gain: float = 2.0) -> Tensor:
        fan_in = layer.weight[0].numel()
        side = layer.weight.shape[-1]
        return F.conv2d(features, layer.weight * (gain / fan_in) ** 0.5, layer.bias, padding=side // 2)

    def with_deviation(features: Tensor) -> Tensor:
        """A plane more; the batch is one group."""
        centred = features - features.sum(0) / len(features)
        deviation = (centred.square().sum(0) / len(features) + 1e-8).sqrt().mean()
        return torch.cat([features, deviation.expand_as(features[:, :1])], 1)

    features = leaky(convolved(network.images[2], images[2]))
    for level in (1, 0):
        block = network.blocks[level]
        hidden = blur(leaky(convolved(block.first, with_deviation(features))))
        features = leaky(F.avg_pool2d(convolved(block.second, hidden), 2))
        pair = torch.cat([features, leaky(convolved(network.images[level], images[level]))], 1)
        features = F.conv2d(pair, network.joins[level]) / pair.shape[1] ** 0.5
    features = leaky(convolved(network.last, with_deviation(features))).flatten(1)
    hidden = leaky(features @ network.hidden.weight.T * (2 / features.shape[1]) ** 0.5 + network.hidden.bias)
    expected = hidden @ network.output.weight.T / hidden.shape[1] ** 0.5 + network.output.bias
    scores = network.score(tuple(reversed(images)))
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)
    pairs = zip(torch.autograd.grad(scores.sum(), images), torch.autograd.grad(expected.sum(), images), strict=True)
    for found, theirs in pairs:
        assert bool(theirs.any())
        torch.testing.assert_close(found, theirs, atol=1e-4, rtol=1e-3)


def test_parameters_are_those_of_the_layer_plan() -> None:
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert widths_by_size(MsgStyleGanOptions(), 1024) == widths
    pairs = list(pairwise(widths))
    layers = [(0, 512), (512, 512), *(each for wide, narrow in pairs for each in ((wide, narrow), (narrow, narrow)))]
    generator = 8 * (512 * 512 + 512) + 512 * 16
    # Kernel, then noise and bias, then the style's dense layer.
    generator += sum(9 * inputs * width + 2 * width + 513 * 2 * width for inputs, width in layers)
    generator += sum(3 * width + 3 for width in widths)
    discriminator = sum(4 * (width // 2) + width * (width + width // 2) for width in widths[:-1]) + 4 * widths[-1]
    discriminator += sum(9 * (wide + 1) * wide + wide + 9 * wide * narrow + narrow for narrow, wide in pairs)
    discriminator += 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512 + 513
    with torch.device("meta"):
        networks = (
            MsgStyleGanGenerator(MsgStyleGanGeneratorOptions(), sized(1024)),
            MsgStyleGanDiscriminator(MsgStyleGanOptions(), sized(1024)),
        )
    found = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert found == [generator, discriminator]


@torch.no_grad()
def test_truncation_draws_the_first_layers_to_the_mean_style() -> None:
    network = randomised(MsgStyleGanGenerator(OPTIONS, sized(16)))
    given = condition()
    for _ in range(3):
        network.train()(given, None)
    assert bool(network.mean_style.any())
    network.eval()
    whole = network(given, None).image
    network.truncation = 0.0
    one_face = network(given, None).pyramid[-1]
    network.truncated_layers = 0
    assert torch.equal(network(given, None).image, whole)
    network.truncated_layers, quiet = 8, torch.zeros_like(given.extra[NOISE_PLANES])
    silent = network(given.with_(**{NOISE_PLANES: quiet}), None).pyramid[-1]
    torch.testing.assert_close(silent[0], silent[1])
    assert not torch.allclose(one_face, silent)


def test_the_port_of_the_noise_has_a_number_for_every_place_of_every_layer() -> None:
    spec = next(each for each in facekit_components() if each.id == "msggan/msg_stylegan" and each.kind == "generator")
    ports = spec.ports(MsgStyleGanGeneratorOptions(), PortContext(size=32))
    (planes,) = [port for port in ports.needs if port.name == NOISE_PLANES]
    assert planes.shape == ("batch", 2 * (16 + 64 + 256 + 1024))
