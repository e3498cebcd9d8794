"""The promises of the interfaces, kept by every component of this plugin."""

from __future__ import annotations

from facekit.testing import DiscriminatorContract, GeneratorContract
from facekit_stargan.plugin import facekit_components

SPECS = {spec.name: spec for spec in facekit_components()}


class TestGenerator(GeneratorContract):
    spec = SPECS["stargan"]
    options = {"filters": 4, "blocks": 2}


class TestDiscriminator(DiscriminatorContract):
    spec = SPECS["stargan_patch"]
    options = {"filters": 4, "layers": 4}


class TestDiscriminatorWhoseClassHeadIsOnePixel(DiscriminatorContract):
    spec = SPECS["stargan_patch"]
    options = {"filters": 4, "layers": 5}
    # One patch a picture: rounding is large beside the deviation over three pictures.
    bf16_tolerance = 0.3
