"""What every component promises; see facekit.testing."""

from __future__ import annotations

from facekit.testing import AugmentationContract
from facekit_gan.plugin import facekit_components

DIFFAUGMENT, ADA = facekit_components()


class TestDiffAugment(AugmentationContract):
    spec = DIFFAUGMENT


class TestDiffAugmentOfOddSides(AugmentationContract):
    spec = DIFFAUGMENT
    sizes = (33, 50)


class TestAda(AugmentationContract):
    spec = ADA
    options = {"p": 0.5, "speed": 20000}


class TestAdaWithoutColours(AugmentationContract):
    spec = ADA
    options = {"policy": ["translation", "scale"], "threshold": 0.0}
