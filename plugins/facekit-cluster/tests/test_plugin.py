"""What the plugin offers without submitit and Ray."""

from __future__ import annotations

import sys

import pytest

from facekit.interfaces import ExecutorContext, FacekitError
from facekit.registry import PluginSet, Registry
from facekit_cluster import plugin


@pytest.fixture
def registry():
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1", "FACEKIT_STRICT_PLUGINS": "1"})
    plugins.register(plugin, name="cluster")
    return Registry(plugins)


@pytest.mark.parametrize(
    ("name", "library", "sentence"),
    [("slurm", "submitit", "needs submitit"), ("ray", "ray", "needs Ray")],
)
def test_a_missing_library_is_a_sentence(registry, monkeypatch, tmp_path, name, library, sentence):
    monkeypatch.setitem(sys.modules, library, None)
    spec = registry.find("executor", name).spec
    with pytest.raises(FacekitError, match=sentence) as raised:
        spec.build(spec.options(), ExecutorContext(tmp_path))
    assert f'pip install "facekit-cluster[{name}]"' in str(raised.value)


def test_examples_are_options(registry):
    for entry in registry.of_kind("executor"):
        entry.spec.options.model_validate(dict(entry.spec.example))
