"""The networks and the loss keep what their interfaces promise."""

from __future__ import annotations

from facekit.testing import DiscriminatorContract, GeneratorContract, LossContract
from facekit_local_edit.plugin import facekit_components

GENERATOR, DISCRIMINATOR, HOLE_L1 = facekit_components()


class TestGenerator(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4}


class TestGeneratorWithoutItsAdditions(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4, "attention": False, "region_codes": False}


class TestFoldedGenerator(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4, "fold": 2}


class TestDiscriminator(DiscriminatorContract):
    spec = DISCRIMINATOR
    options = {"filters": 4, "patches": 8}


class TestDiscriminatorWithSpectralNorm(DiscriminatorContract):
    spec = DISCRIMINATOR
    options = {"filters": 4, "patches": 8, "norm": "spectral"}


class TestDiscriminatorOfLargerPatches(DiscriminatorContract):
    spec = DISCRIMINATOR
    options = {"filters": 4, "patches": 8, "halvings": 4}


class TestHoleL1(LossContract):
    spec = HOLE_L1
