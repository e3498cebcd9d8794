"""The promises of the interfaces, kept by every metric of this plugin."""

from __future__ import annotations

from facekit.testing import MetricContract
from facekit_metrics.plugin import facekit_components

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
