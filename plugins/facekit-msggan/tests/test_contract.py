"""MSG-ProGAN keeps what generators and discriminators promise."""

from __future__ import annotations

from facekit.testing import DiscriminatorContract, GeneratorContract
from facekit_msggan.plugin import facekit_components

GENERATOR, DISCRIMINATOR = facekit_components()


class TestGenerator(GeneratorContract):
    spec = GENERATOR
    options = {"latent": 16}
    sizes = (16, 32)


class TestDiscriminator(DiscriminatorContract):
    spec = DISCRIMINATOR
    options = {"latent": 16}
    sizes = (16, 32)
