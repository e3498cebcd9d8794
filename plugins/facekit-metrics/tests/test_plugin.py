from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from facekit.interfaces import FacekitError
from facekit.registry import PluginSet, Registry
from facekit_metrics import plugin
from facekit_metrics.options import StyleFollowingOptions


def test_specs_are_declared_without_torch() -> None:
    code = "import sys, facekit_metrics.plugin as p; list(p.facekit_components()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


ALONE = {
    "changes_with_reference",
    "diversity",
    "perceptual_distance",
    "psnr",
    "psnr_outside_edit",
    "ssim",
    "style_consistency",
    "style_following",
    "texture",
}
"""Metrics that need no real photos but those they observe."""
JUDGED = {"attribute_accuracy", "segmentation_accuracy"}
"""Metrics that need a trained evaluator: see test_evaluator_metrics.py."""
OWN = {"classification_accuracy", "mean_iou"}
"""Metrics of the recipes of evaluators: see test_evaluator_recipes.py."""
SETS = {"density_coverage", "frechet_distance", "kid", "nearest_training_neighbour", "precision_recall"}

EXTRAS = {"identity"}
"""Metrics that need an extra: see test_identity.py."""


@pytest.fixture
def registry() -> Registry:
    plugins = PluginSet({})
    plugins.register(plugin, name="metrics")
    assert not plugins.failures
    return Registry(plugins)


def test_every_metric_builds_from_its_defaults(registry, context, with_photos) -> None:  # type: ignore[no-untyped-def]
    assert ALONE | SETS | JUDGED | OWN | EXTRAS | {"fid"} == set(registry.names("metric"))
    photos = torch.zeros(400, 3, 1, 1)
    evaluated = with_photos({"test": photos, "train": photos})
    for name in sorted(ALONE | SETS):
        spec = registry.find("metric", name).spec
        metric = spec.build(spec.options(), context if name in ALONE else evaluated)
        assert metric.tasks


def test_fid_says_which_file_is_missing(registry, with_photos, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("FACEKIT_INCEPTION_WEIGHTS", raising=False)
    spec = registry.find("metric", "fid").spec
    with pytest.raises(FacekitError, match=r"(?s)weights-inception-2015-12-05-6726825d\.pth.*checkpoints"):
        spec.build(spec.options(), with_photos({"test": torch.zeros(3000, 3, 1, 1)}))


def test_sets_need_an_evaluation(registry, context) -> None:  # type: ignore[no-untyped-def]
    for name in sorted(SETS):
        spec = registry.find("metric", name).spec
        with pytest.raises(FacekitError, match="wanted where there are none"):
            spec.build(spec.options(), context)


def test_exception() -> None:
    for regions in ((), ("skin", "skin"), "skin", ("skin", "mean")):
        with pytest.raises(ValidationError, match="regions"):
            StyleFollowingOptions(regions=regions)
