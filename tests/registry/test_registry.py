"""Finding components: names, namespaces, clashes, versions, hints."""

from __future__ import annotations

from typing import Any

import pytest

from facekit.interfaces import NoOptions, PortContext, Ports
from facekit.registry import ComponentSpec, PluginSet, Registry, UnknownComponent, hookimpl


def _spec(**more: Any) -> ComponentSpec:
    first = {"kind": "loss", "id": "x/l1", "summary": "", "options": NoOptions, "factory": "a:b"}
    return ComponentSpec(**{"interface_version": 1, **first, **more})


class _Plugin:
    def __init__(self, *specs: ComponentSpec) -> None:
        self._specs = specs

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        return [*self._specs]


def _registry(**plugins: list[ComponentSpec]) -> Registry:
    loaded = PluginSet({})
    for name, specs in plugins.items():
        loaded.register(_Plugin(*specs), name=name)
    return Registry(loaded)


def _said(registry: Registry, kind: Any, name: str) -> str:
    with pytest.raises(UnknownComponent) as caught:
        registry.find(kind, name)
    assert (caught.value.kind, caught.value.name) == (kind, name)
    return str(caught.value)


def test_by_name_and_by_id() -> None:
    registry = _registry(one=[_spec(), _spec(kind="metric", id="x/psnr")])
    assert registry.find("loss", "l1").spec.id == registry.find("loss", "x/l1").spec.id == "x/l1"
    assert [entry.spec.id for entry in registry.of_kind("metric")] == ["x/psnr"]


def test_one_id_in_several_kinds() -> None:
    registry = _registry(one=[_spec(kind="loss", id="x/perceptual"), _spec(kind="metric", id="x/perceptual")])
    assert registry.find("metric", "perceptual").spec.kind == "metric"
    assert not registry.clashes


def test_what_needs_no_plugin_is_always_there_and_nobodys() -> None:
    registry = _registry(
        one=[_spec(kind="schedule", id="x/cosine"), _spec(kind="optimiser", id="facekit/adam"), _spec(id="x/l1")],
        two=[_spec(kind="optimiser", id="torch/sgd"), _spec(kind="optimiser", id="y/sgd")],
    )
    assert registry.find("schedule", "cosine").spec.id == "facekit/cosine"
    assert registry.find("schedule", "x/cosine").spec.id == "x/cosine"
    assert registry.find("optimiser", "facekit/adam").origin.distribution == "facekit-toolkit"
    assert registry.find("optimiser", "SGD").origin.distribution == "torch"
    assert registry.find("optimiser", "y/sgd").spec.id == "y/sgd"
    assert {failure.error for failure in registry.plugins.failures if "belongs to" in failure.error} == {
        f"optimiser 'facekit/adam' belongs to {registry.find('optimiser', 'adam').origin}",
        f"optimiser 'torch/sgd' belongs to {registry.find('optimiser', 'sgd').origin}",
    }
    ids = [entry.spec.id for entry in registry.of_kind("optimiser")]
    assert ids[:2] == ["facekit/adam", "facekit/adamw"]
    assert ids[-1] == "y/sgd"
    assert "torch/rmsprop" in ids
    assert set(registry.components) == {("schedule", "x/cosine"), ("loss", "x/l1"), ("optimiser", "y/sgd")}
    assert "torch.optim.LBFGS computes the losses several times" in _said(registry, "optimiser", "LBFGS")


def test_hints() -> None:
    registry = _registry(one=[_spec(id="x/feature_matching"), _spec(kind="metric", id="x/psnr")])
    assert _said(registry, "loss", "feature_machting") == (
        "no loss is called 'feature_machting'\n  did you mean 'feature_matching'?"
    )
    assert "'psnr' is a metric, not a loss" in _said(registry, "loss", "psnr")
    assert "known: feature_matching" in _said(registry, "loss", "zzzz")
    assert "known: none: is the plugin installed?" in _said(registry, "generator", "zzzz")
    assert "no loss is called 'a/b/c'" in _said(registry, "loss", "a/b/c")
    assert "no loss is called ''" in _said(registry, "loss", "")


def test_one_name_in_two_namespaces() -> None:
    registry = _registry(one=[_spec(id="a/l1")], two=[_spec(id="b/l1")])
    assert "several components are called 'l1': a/l1, b/l1\n  write the whole id" in _said(registry, "loss", "l1")
    assert registry.find("loss", "b/l1").origin.name == "two"


def test_a_clash_names_both_sides_and_neither_wins() -> None:
    registry = _registry(one=[_spec()], two=[_spec()], three=[_spec(id="y/l2")])
    for name in ("l1", "x/l1"):
        said = _said(registry, "loss", name)
        assert "loss 'x/l1' is claimed by one (_Plugin) and two (_Plugin)" in said
    assert registry.names("loss") == ["l2"]
    assert registry.find("loss", "l2").spec.id == "y/l2"


def test_a_clash_of_three() -> None:
    registry = _registry(one=[_spec()], two=[_spec()], three=[_spec()])
    (clash,) = registry.clashes
    assert [origin.name for origin in clash.origins] == ["one", "two", "three"]
    assert registry.names("loss") == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"kind": "los"}, "is of kind 'los'"),
        ({"id": "l1"}, "not of the form namespace/name"),
        ({"id": "X/l1"}, "not of the form namespace/name"),
        ({"id": "a/b/c"}, "not of the form namespace/name"),
        ({"factory": "module"}, "not of the form 'module:function'"),
        ({"factory": "module:"}, "not of the form 'module:function'"),
        ({"options": dict}, "not a class derived from Options"),
        ({"options": NoOptions()}, "not a class derived from Options"),
        ({"players": ()}, "the players of 'x/l1'"),
        ({"players": ("critic",)}, "the players of 'x/l1'"),
    ],
)
def test_specs_are_checked(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _spec(**more)


def test_ports_default_to_none() -> None:
    assert _spec().ports(NoOptions(), PortContext(size=64)) == Ports()
