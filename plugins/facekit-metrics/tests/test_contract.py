"""The promises of the interfaces, kept by every metric of this plugin."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from facekit.registry import load_registry
from facekit.sampling.inputs import SamplingInputs
from facekit.testing import MetricContract
from facekit_metrics.plugin import facekit_components

CELEBAMASK_HQ = load_registry().label_maps["celebamask_hq"]
SPECS = {spec.name: spec for spec in facekit_components()}


class TestStyleFollowing(MetricContract):
    spec = SPECS["style_following"]


class TestChangesWithReference(MetricContract):
    spec = SPECS["changes_with_reference"]
    declared_in = "facekit_metrics.plugin"


class TestPsnr(MetricContract):
    spec = SPECS["psnr"]
    declared_in = "facekit_metrics.plugin"


class TestSsim(MetricContract):
    spec = SPECS["ssim"]
    declared_in = "facekit_metrics.plugin"


class TestPerceptualDistance(MetricContract):
    spec = SPECS["perceptual_distance"]


class TestDiversity(MetricContract):
    spec = SPECS["diversity"]
    not_about_likeness = "perfect results of one mask in two looks differ"


class TestStyleConsistency(MetricContract):
    spec = SPECS["style_consistency"]


class TestPsnrOutsideEdit(MetricContract):
    spec = SPECS["psnr_outside_edit"]


class TestTexture(MetricContract):
    spec = SPECS["texture"]
    not_about_likeness = "noise has energy too"


@pytest.mark.skipif(
    find_spec("dlib") is None or find_spec("face_recognition_models") is None,
    reason="the extra `identity` of facekit-metrics is not installed",
)
class TestIdentity(MetricContract):
    spec = SPECS["identity"]
    options = {"tasks": ["reconstruction"]}
    count = 4


class TestFrechetDistance(MetricContract):
    spec = SPECS["frechet_distance"]
    options = {"task": "reconstruction", "allow_few_pictures": True}


@pytest.mark.slow  # Inception sees pictures of 299 pixels.
class TestFid(MetricContract):
    spec = SPECS["fid"]
    options = {"task": "reconstruction", "allow_few_pictures": True}

    @pytest.fixture(autouse=True)
    def _weights(self, inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FACEKIT_INCEPTION_WEIGHTS", str(inception_weights))


class TestKid(MetricContract):
    spec = SPECS["kid"]
    options = {"task": "reconstruction", "subsets": 20}


class TestPrecisionRecall(MetricContract):
    spec = SPECS["precision_recall"]
    options = {"task": "reconstruction"}


class TestDensityCoverage(MetricContract):
    spec = SPECS["density_coverage"]
    options = {"task": "reconstruction"}


class TestNearestTrainingNeighbour(MetricContract):
    spec = SPECS["nearest_training_neighbour"]
    options = {"task": "reconstruction"}
    not_about_likeness = "noise is farther from training photos than a face is"


FROM_NOISE = SamplingInputs(frozenset(), noise={"z": (8,)})


class TestKidOfGeneration(MetricContract):
    spec = SPECS["kid"]
    options = {"subsets": 20}
    inputs = FROM_NOISE


class TestFrechetDistanceOfGeneration(MetricContract):
    spec = SPECS["frechet_distance"]
    options = {"allow_few_pictures": True}
    inputs = FROM_NOISE


class TestPrecisionRecallOfGeneration(MetricContract):
    spec = SPECS["precision_recall"]
    inputs = FROM_NOISE


class TestDensityCoverageOfGeneration(MetricContract):
    spec = SPECS["density_coverage"]
    inputs = FROM_NOISE


class TestNearestTrainingNeighbourOfGeneration(MetricContract):
    spec = SPECS["nearest_training_neighbour"]
    inputs = FROM_NOISE


class TestDiversityOfGeneration(MetricContract):
    spec = SPECS["diversity"]
    inputs = FROM_NOISE


@pytest.mark.usefixtures("evaluators")
class TestAttributeAccuracy(MetricContract):
    spec = SPECS["attribute_accuracy"]
    options = {"transfer": ["Smiling", "Eyeglasses"]}
    not_about_likeness = "a photo of anything may or may not look like a smile to a classifier"


@pytest.mark.usefixtures("evaluators")
class TestSegmentationAccuracy(MetricContract):
    spec = SPECS["segmentation_accuracy"]
    options = {"tasks": ["reconstruction", "style_copy", "attribute_transfer"], "transfer": ["Smiling"]}
    label_map = CELEBAMASK_HQ
    not_about_likeness = "the bench's masks are no masks of its photos"
