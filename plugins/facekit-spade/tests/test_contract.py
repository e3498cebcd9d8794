"""The promises of the interfaces, kept by every component of this plugin."""

from __future__ import annotations

from facekit.testing import GeneratorContract, StyleEncoderContract
from facekit_spade.plugin import facekit_components

SPECS = {spec.name: spec for spec in facekit_components()}


class TestSpade(GeneratorContract):
    spec = SPECS["spade"]
    options = {"filters": 4, "hidden": 8}
    sizes = (32, 64)


class TestSpadeFromAStyle(GeneratorContract):
    spec = SPECS["spade"]
    options = {"filters": 2, "hidden": 8, "latent": 16, "statistics": "instance"}
    sizes = (64, 128)


class TestClade(GeneratorContract):
    spec = SPECS["spade"]
    options = {"filters": 4, "norm": "clade", "statistics": "group", "gain": 1.0}
    sizes = (64, 128)


class TestSean(GeneratorContract):
    spec = SPECS["sean"]
    options = {"filters": 2, "hidden": 8, "code": 16, "gain": 1.0}
    sizes = (32, 64)
    # Norms of the last block have nothing to blend; the published ones have the numbers all the same.
    parameters_without_gradient = ("blocks.6.*.blend",)


class TestSeanWithSharedDenseLayers(GeneratorContract):
    spec = SPECS["sean"]
    options = {"filters": 2, "hidden": 8, "code": 16, "share_dense": True, "noise": False, "gain": 1.0}
    sizes = (32, 64)
    parameters_without_gradient = ("blocks.6.*.blend",)


class TestSpadeEncoder(StyleEncoderContract):
    spec = SPECS["spade_encoder"]
    options = {"filters": 4, "latent": 8, "side": 32}
    sizes = (32, 48)


class TestSeanStyle(StyleEncoderContract):
    spec = SPECS["sean_style"]
    options = {"filters": 4, "code": 8}
    sizes = (16, 32)
