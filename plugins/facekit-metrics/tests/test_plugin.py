from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from facekit.interfaces import BuildContext
from facekit.registry import PluginSet, Registry
from facekit_metrics import plugin
from facekit_metrics.options import StyleFollowingOptions


def test_specs_are_declared_without_torch() -> None:
    code = "import sys, facekit_metrics.plugin as p; list(p.facekit_components()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_metric_builds_from_its_defaults(context: BuildContext) -> None:
    plugins = PluginSet({})
    plugins.register(plugin, name="metrics")
    registry = Registry(plugins)
    assert not plugins.failures
    names = registry.names("metric")
    assert names == ["changes_with_reference", "perceptual_distance", "psnr", "ssim", "style_following"]
    for name in names:
        spec = registry.find("metric", name).spec
        metric = spec.build(spec.options(), context)
        assert metric.tasks


def test_exception() -> None:
    for regions in ((), ("skin", "skin")):
        with pytest.raises(ValidationError, match="regions"):
            StyleFollowingOptions(regions=regions)
