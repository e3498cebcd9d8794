"""The promises of the interfaces, kept by every component of this plugin."""

from __future__ import annotations

from facekit.testing import GeneratorContract, StyleEncoderContract
from facekit_sft_pix2pixhd.plugin import facekit_components

STYLE, GENERATOR, REGIONAL_STYLE, REGIONAL_GENERATOR = facekit_components()


class TestStyleEncoder(StyleEncoderContract):
    spec = STYLE
    dimensions = {"style": 24}


class TestStyleEncoderOfTheMainRecipe(StyleEncoderContract):
    spec = STYLE
    options = {"colours": True, "head_hidden": 8}
    dimensions = {"style": 24}


class TestPublishedStyleEncoder(StyleEncoderContract):
    spec = STYLE
    options = {"sft": "published", "init": "published", "planes": "one_hot", "sft_skip": True, "style_dim": 12}


class TestStyleEncoderThatReadsNoMask(StyleEncoderContract):
    spec = STYLE
    options = {"sft_levels": 0}
    dimensions = {"style": 24}


class TestGenerator(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4, "blocks": 1, "downsamplings": 2}


class TestGeneratorOfTheMainRecipe(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4, "blocks": 1, "downsamplings": 2, "adain_decoder": True}


class TestGeneratorWithoutAdain(GeneratorContract):
    spec = GENERATOR
    options = {"filters": 4, "blocks": 1, "downsamplings": 2, "adain": False}


class TestRegionalStyleEncoder(StyleEncoderContract):
    spec = REGIONAL_STYLE
    options = {"code": 8, "filters": 4, "hidden": 16}


class TestRegionColours(StyleEncoderContract):
    spec = REGIONAL_STYLE
    options = {"code": 8, "hidden": 16, "convolutions": False, "details": False}


class TestRegionalGenerator(GeneratorContract):
    spec = REGIONAL_GENERATOR
    options = {"code": 8, "filters": 4, "blocks": 1, "encoder_filters": 4}


class TestRegionalGeneratorWithoutSft(GeneratorContract):
    spec = REGIONAL_GENERATOR
    options = {"code": 8, "filters": 4, "blocks": 1, "sft": False}
