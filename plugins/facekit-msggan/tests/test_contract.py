"""MSG-ProGAN and MSG-StyleGAN keep what generators and discriminators promise."""

from __future__ import annotations

from facekit.testing import DiscriminatorContract, GeneratorContract
from facekit_msggan.plugin import facekit_components

GENERATOR, DISCRIMINATOR, STYLE_GENERATOR, STYLE_DISCRIMINATOR = facekit_components()


class TestGenerator(GeneratorContract):
    spec = GENERATOR
    options = {"latent": 16}
    sizes = (16, 32)


class TestDiscriminator(DiscriminatorContract):
    spec = DISCRIMINATOR
    options = {"latent": 16}
    sizes = (16, 32)


class TestStyleGenerator(GeneratorContract):
    spec = STYLE_GENERATOR
    options = {"latent": 16, "base": 128, "most": 16, "mapping_layers": 2, "truncation": 1}
    sizes = (16, 32)


class TestStyleDiscriminator(DiscriminatorContract):
    spec = STYLE_DISCRIMINATOR
    options = {"base": 128, "most": 16}
    sizes = (16, 32)
