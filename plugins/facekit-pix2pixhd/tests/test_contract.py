"""The promises of the interfaces, kept by every component of this plugin."""

from __future__ import annotations

from facekit.testing import DiscriminatorContract, GeneratorContract, StyleEncoderContract
from facekit_pix2pixhd.plugin import facekit_components

SPECS = {spec.name: spec for spec in facekit_components()}


class TestGlobalGenerator(GeneratorContract):
    spec = SPECS["pix2pixhd_global"]
    options = {"filters": 4, "downsamplings": 2, "blocks": 1}


class TestGlobalGeneratorWithFeatures(GeneratorContract):
    spec = SPECS["pix2pixhd_global"]
    options = {"filters": 4, "downsamplings": 2, "blocks": 1, "features": True}


class TestLocalEnhancer(GeneratorContract):
    spec = SPECS["pix2pixhd_local_enhancer"]
    options = {"filters": 2, "global_downsamplings": 2, "global_blocks": 1, "local_blocks": 1}


class TestLocalEnhancerWithFeatures(GeneratorContract):
    spec = SPECS["pix2pixhd_local_enhancer"]
    options = {"filters": 2, "global_downsamplings": 2, "global_blocks": 1, "local_blocks": 1, "features": True}


class TestUNet(GeneratorContract):
    spec = SPECS["pix2pix_unet"]
    options = {"filters": 4, "levels": 4}


class TestUNetThatVaries(GeneratorContract):
    spec = SPECS["pix2pix_unet"]
    options = {"filters": 4, "levels": 3, "norm": "instance", "varied": True}


class TestUNetWithoutSkips(GeneratorContract):
    spec = SPECS["pix2pix_unet"]
    options = {"filters": 4, "levels": 3, "skips": False, "dropout": 0}


class TestRegionFeatures(StyleEncoderContract):
    spec = SPECS["region_features"]
    options = {"filters": 4, "downsamplings": 2}


class TestDiscriminator(DiscriminatorContract):
    spec = SPECS["multiscale_patch"]
    options = {"filters": 4, "layers": 2}


class TestDiscriminatorThatClassifies(DiscriminatorContract):
    spec = SPECS["multiscale_patch"]
    options = {"filters": 4, "layers": 2, "classify": True}


class TestDiscriminatorWithSpectralNorm(DiscriminatorContract):
    spec = SPECS["multiscale_patch"]
    options = {"filters": 4, "layers": 1, "scales": 1, "norm": "none", "spectral_norm": True}


class TestDiscriminatorOfSpade(DiscriminatorContract):
    spec = SPECS["multiscale_patch"]
    options = {"filters": 4, "layers": 2, "spectral_norm": "middle"}


class TestDiscriminatorOfSean(DiscriminatorContract):
    spec = SPECS["multiscale_patch"]
    options = {"filters": 4, "layers": 1, "spectral_norm": "middle", "last_stride": 2}
